"""An action plan in, an execution report out."""

"""What authors of policies run: analysis, proofs, comparison, lint, replay and policy tests."""

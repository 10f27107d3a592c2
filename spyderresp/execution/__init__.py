"""Carries an ActionPlan out and returns an ExecutionReport."""

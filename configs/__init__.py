"""What to run: one file a model, typed recipes."""

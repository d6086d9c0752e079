"""Rules that a prepared dataset keeps if nothing of what is held out has leaked into training."""

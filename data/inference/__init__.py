"""Guesses of what a table means, from its first rows."""

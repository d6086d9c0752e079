"""Readers of raw data. Each returns `Interactions` with the raw ids of its source."""

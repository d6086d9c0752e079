"""Shapes of synthetic clicks that are shipped."""

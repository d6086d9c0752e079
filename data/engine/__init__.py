"""A table of any size to a prepared dataset, as its feature spec says."""

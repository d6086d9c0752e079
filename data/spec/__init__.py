"""What a table means: the feature spec."""

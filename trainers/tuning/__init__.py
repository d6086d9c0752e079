"""Search for settings on validation; the test split is withheld from all of it."""

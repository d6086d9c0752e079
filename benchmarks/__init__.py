"""Speed, measured by commands that anyone can rerun; README.md holds dated results."""

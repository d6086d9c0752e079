"""The one training path: run, step loop, checkpoints, metrics, evaluation."""

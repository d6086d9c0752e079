"""What a run tells TensorBoard; docs/tensorboard.md says how to read it."""

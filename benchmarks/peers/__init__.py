"""What others would be used instead, each as a program of its own that times its own training."""

"""What is in a prepared dataset, in numbers and pictures, whatever its size."""

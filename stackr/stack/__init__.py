"""What stackr does with a stack: no argv, no streams, no views; results and events come back."""

"""Which images are built, pulled and pushed, and when."""

"""What is compared with what should be, container by container, and what that puts at risk."""

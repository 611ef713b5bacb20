"""What happens to a container: create, start, its end, restart, stop, update, removal."""

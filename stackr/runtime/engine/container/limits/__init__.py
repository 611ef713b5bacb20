"""Control groups: where they are, what a container's limits are in them, what it uses."""

"""The dialect of Docker Swarm: stack files as its documents, and back."""

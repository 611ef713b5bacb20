"""The same work side by side: stackr on its own engine, Docker Compose on dockerd."""

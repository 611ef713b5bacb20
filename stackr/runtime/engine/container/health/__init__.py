"""Health checks: a container's test, its probes, and how often they are made."""

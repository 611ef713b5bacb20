"""stackr: whole environments of containers from one Compose file."""

__all__ = ["__version__"]

__version__ = "0.1.0"

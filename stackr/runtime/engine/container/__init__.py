"""The engine's containers: `service.py` is what the API calls; each folder is a part of it."""

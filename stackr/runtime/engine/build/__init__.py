"""Images made from Dockerfiles on the engine's own containers and layers."""

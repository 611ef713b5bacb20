"""A client of image registries, for pull and push: Docker's and OCI's distribution protocol."""

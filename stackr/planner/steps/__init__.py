"""What plans are made of: resources come, go, start, stop and become ready, in their order."""

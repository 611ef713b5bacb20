"""Images built over the Engine API: by dockerd's classic builder, or the embedded engine's own."""

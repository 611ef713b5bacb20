"""The OCI runtime and conmon: config.json, the calls, their complaints, the confinement."""

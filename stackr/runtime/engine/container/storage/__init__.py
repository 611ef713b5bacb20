"""What a container has on the disk: mounts, volumes, its own files, copies in and out."""

"""What a container writes and reads: attached streams, its log, its processes' table."""

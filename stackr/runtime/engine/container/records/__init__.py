"""What is known of a container: its record and stored form, its states, its copies."""

"""What a stack file wants: its containers, networks and volumes, as an engine takes them."""

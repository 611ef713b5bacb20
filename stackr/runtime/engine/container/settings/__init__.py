"""What a container is asked to be: the API's bodies as typed models, and what is refused."""

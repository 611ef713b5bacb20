"""Source files followed for `watch` and `up --watch`: what changed, what that means, doing it."""

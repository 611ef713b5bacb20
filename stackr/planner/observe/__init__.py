"""What exists: an engine's snapshot of a project, and the revisions kept with it."""

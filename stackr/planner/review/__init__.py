"""A plan as people and programs read it: where its changes come from, on paper, as a schema."""

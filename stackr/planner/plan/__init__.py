"""A plan as data: its operations, their arguments and order, and what was asked of it."""

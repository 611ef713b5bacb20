"""Whole plans, one module for each thing that a user asks for: `up`, `down`, `run`, ..."""

"""Copies of files into and out of containers, made by a confined process of their own."""

"""The recipes page."""

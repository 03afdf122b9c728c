"""Reproducers: programs of their own that make the calls of a deviation, for a developer without this package."""

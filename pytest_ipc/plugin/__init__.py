"""The pytest plugin: all that pytest calls."""

"""Running the suite: here, on other platforms, and from a bundle."""

"""One class for each mechanism. Each is a context manager and works without pytest."""

"""One class a mechanism: create, use, destroy. Each is a context manager and works without pytest."""

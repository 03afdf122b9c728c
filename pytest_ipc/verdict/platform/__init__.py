"""The platform under test: its description, the needs of clauses, and the probes of both."""

"""The platform under test: its description, what clauses need of it, and the probes that find out."""

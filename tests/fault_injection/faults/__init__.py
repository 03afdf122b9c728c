"""Faults and the clauses that must detect them: a C file for each mechanism, with a table of the same name."""

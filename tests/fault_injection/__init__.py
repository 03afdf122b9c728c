"""Fault injection: wrong results of interposed libc functions, and the clauses that must detect each."""

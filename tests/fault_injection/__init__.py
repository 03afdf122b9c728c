"""Can the clauses fail? Lies told in libc's place, and the clauses that must catch each, by name."""

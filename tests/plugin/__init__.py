"""Bare forks in tests: a child that comes back into pytest is stopped, told of, and does no harm; others are left alone."""

"""Tests of the kernel room: types, errors, layouts, numbers, and a round trip of each family of calls."""

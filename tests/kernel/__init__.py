"""Tests of pytest_ipc.kernel: types, errors, layouts, numbers, and a round trip of each family of calls."""

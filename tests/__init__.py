"""Tests of pytest_ipc, in the order of its rooms; whatever kills, forks or signals runs in a real subprocess."""

"""Tests of pytest_ipc, one folder for each package; tests that kill, fork or signal use a real subprocess."""

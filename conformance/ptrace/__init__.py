"""Tracing: ptrace(2), one process that observes another and controls when it runs."""

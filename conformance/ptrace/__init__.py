"""Tracing: ptrace(2), by which one process observes another and controls its execution."""

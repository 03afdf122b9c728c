"""Fixtures of the clauses about the memory of other processes, as for ptrace(2)."""

from ..ptrace.conftest import fork, leave_to_trace, other_users

__all__ = ["fork", "leave_to_trace", "other_users"]

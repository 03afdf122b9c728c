"""What the clauses about the memory of other processes are written with: a child that keeps a piece of memory."""

from ..ptrace.conftest import fork, leave_to_trace, other_users

__all__ = ["fork", "leave_to_trace", "other_users"]

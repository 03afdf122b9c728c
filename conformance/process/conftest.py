"""Children as the clauses about signals have them: with default dispositions, an empty mask, and a status at their end."""

from ..signal.conftest import children_leave_a_status, fork

__all__ = ["children_leave_a_status", "fork"]

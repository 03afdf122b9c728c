"""Fixtures of the process clauses: children with default dispositions and an empty mask, as for signals."""

from ..signal.conftest import fork

__all__ = ["fork"]

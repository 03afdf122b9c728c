"""Children as the clauses about signals have them: with default dispositions and an empty mask."""

from ..signal.conftest import fork

__all__ = ["fork"]

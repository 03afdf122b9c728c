"""All rows, by name."""

from __future__ import annotations

from itertools import chain

from . import custody, leaks, objects, processes, suite, unused
from .row import Row

__all__ = ["ROWS"]

_GROUPS = (processes.ROWS, objects.ROWS, unused.ROWS, custody.ROWS, leaks.ROWS, suite.ROWS)

ROWS: dict[str, Row] = {row.name: row for row in chain.from_iterable(_GROUPS)}

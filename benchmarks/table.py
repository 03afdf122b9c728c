"""All rows, by name."""

from __future__ import annotations

from itertools import chain

from . import custody, growth, leaks, objects, processes, suite, unused
from .row import Row
from .series import Series

__all__ = ["ROWS", "SERIES", "find"]

_GROUPS = (processes.ROWS, objects.ROWS, unused.ROWS, custody.ROWS, leaks.ROWS, suite.ROWS)

ROWS: dict[str, Row] = {row.name: row for row in chain.from_iterable(_GROUPS)}

SERIES: dict[str, Series] = {series.name: series for series in growth.SERIES}


def find(name: str) -> Row:
    """Return the row *name*, of the table or SERIES@SIZE. KeyError."""
    series, at, size = name.partition("@")
    return SERIES[series].rows()[int(size)] if at else ROWS[name]

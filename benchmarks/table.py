"""All rows, by name."""

from __future__ import annotations

from . import objects, processes, unused
from .row import Row

__all__ = ["ROWS"]

ROWS: dict[str, Row] = {row.name: row for row in (*processes.ROWS, *objects.ROWS, *unused.ROWS)}

"""Which clauses must catch which lie: each of them must deviate when the lie is told, and hold when none is.

Put together from the tables beside the C files in faults/.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

SOURCES = sorted(Path(__file__).with_name("faults").glob("*.c"))

_TABLES = [import_module(f"{__package__}.faults.{source.stem}") for source in SOURCES]

LIES: dict[str, list[str]] = {lie: clauses for table in _TABLES for lie, clauses in table.LIES.items()}

# For every run of the tests; the others are injected by --every-fault.
SAMPLE = [*LIES][::3]

# Lies under which objects are really left behind.
LEAKING: set[str] = {lie for table in _TABLES for lie in getattr(table, "LEAKING", ())}

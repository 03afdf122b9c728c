"""The clauses that must detect each fault: they must deviate with the fault, and hold without.

Collected from the tables of the C files in faults/.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

SOURCES = sorted(Path(__file__).with_name("faults").glob("*.c"))

_TABLES = [import_module(f"{__package__}.faults.{source.stem}") for source in SOURCES]

FAULTS: dict[str, list[str]] = {fault: clauses for table in _TABLES for fault, clauses in table.FAULTS.items()}

# For every run of the tests; the others are injected by --every-fault.
SAMPLE = [*FAULTS][::3]

# Faults that leak objects.
LEAKING: set[str] = {fault for table in _TABLES for fault in getattr(table, "LEAKING", ())}

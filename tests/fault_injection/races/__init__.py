"""Races and the concurrent checks that must find them: a C file for each mechanism, with a table of the same name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("*.c"))

_TABLES = [import_module(f"{__package__}.{table.stem}") for table in sorted(Path(__file__).parent.glob("[!_]*.py"))]

# The clause that must find it, by race.
RACES: dict[str, str] = {race: clause for table in _TABLES for race, clause in table.RACES.items()}

# One for each clause, for every run of the tests; the others are injected by --every-fault.
SAMPLE = [*{clause: race for race, clause in RACES.items()}.values()]

# Those of which the tests compile and run a program in every run: one that gives something twice, one that leaves a
# process asleep, one that shows when a process is killed. The others with --every-fault.
REPRODUCED = {
    "msgrcv_gives_a_message_twice": "c",
    "fcntl_deadlock_not_found": "python",
    "semop_undo_noted_after_the_operation": "c",
}

# A signal given twice is found when a later history takes it; one history alone does not show it.
NOT_REPRODUCED = {"sigtimedwait_gives_a_signal_twice"}

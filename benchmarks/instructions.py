"""Instructions of a command and its children, counted by perf(1): the same in every run, however busy the machine.

Many virtual machines have no counter, and perf_event_paranoid may forbid it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from .row import NotMeasuredError

__all__ = ["counted", "parse"]

_EVENT = "instructions:u"


def counted(run: Callable[[Sequence[str]], object]) -> int:
    """Call *run* with a command that executes its arguments and counts them. Return the count. NotMeasuredError."""
    if not _allowed():
        raise NotMeasuredError("perf(1) is missing, or this machine has no counter of instructions that it may read")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "count")
        run(["perf", "stat", "-x", ",", "-e", _EVENT, "-o", str(file), "--"])
        return parse(file.read_text())


def parse(text: str) -> int:
    """Return the count in the output of perf stat -x. NotMeasuredError."""
    for line in text.splitlines():
        count, _, rest = line.partition(",")
        if _EVENT in rest and count.isdigit():
            return int(count)
    raise NotMeasuredError(f"perf(1) has not counted {_EVENT}: {text.strip()!r}")


@cache
def _allowed() -> bool:
    if shutil.which("perf") is None:
        return False
    command = ["perf", "stat", "-x", ",", "-e", _EVENT, "true"]
    try:
        return parse(subprocess.run(command, capture_output=True, text=True, check=False).stderr) > 0
    except NotMeasuredError:
        return False

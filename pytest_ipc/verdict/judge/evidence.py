"""The evidence of a deviation: the line of the test that observed it, and the calls before; and its trace.

For an error that a child sent, the line is the child's.
"""

from __future__ import annotations

import json
import linecache
import re
from collections.abc import Iterator
from traceback import walk_tb

import pytest

from ...kernel import libc
from ...kernel import trace as recording
from ...kernel.trace_values import lines
from .. import measure
from ..clause import Deviation

__all__ = ["evidence", "trace"]

_LONGEST = 200
_MOST = 400  # events of a trace, and
_BYTES = 200_000  # its size; more would not make a program that anybody reads


def evidence(item: pytest.Item, error: BaseException) -> tuple[str, ...]:
    """Return the lines of evidence: "shm/test_shmget.py:42: the source line", then the last calls, or the error's."""
    own = error.evidence if isinstance(error, Deviation) else ()
    return tuple(map(_short, [_place(item, list(_chain(error))), *(own or lines() or libc.recent_calls())]))


def trace(error: BaseException) -> str:
    """Return the trace as JSON: the events, and the measure of the deviation or null; "" if it is too long.

    For a deviation of a concurrent check the calls of all workers with their allowed results, as `race`.
    """
    if (race := getattr(error, "race", None)) is not None:
        return json.dumps({"race": race})
    found = getattr(error, "measure", None)
    if found is None and isinstance(error, OSError) and error.errno:
        found = measure.of_error(error)
    events = recording.events()
    found = measure.of_no_sleep(events) or found
    if found is None and isinstance(error, TimeoutError) and error.errno is None:
        found = measure.of_no_return(events)
    if not events or len(events) > _MOST:
        return ""
    text = json.dumps({"events": [list(event) for event in events], "measure": found}, default=str)
    return text if len(text) <= _BYTES else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes: for a Deviation, the OSError that a child sent."""
    while error is not None:
        yield error
        error = error.__cause__


def _place(item: pytest.Item, errors: list[BaseException]) -> str:
    """Return the line of the test's file that raised the error: in the child that sent it, else in the test."""
    file, first = str(item.path), (item.location[1] or 0) + 1
    line = next((found for error in reversed(errors) if (found := _line_of(file, error))), first)
    source = linecache.getline(file, line).strip()
    if source.endswith(":"):  # the line of a block that fails at its end is its first: add the next line
        source = f"{source} {linecache.getline(file, line + 1).strip()}"
    return f"{item.nodeid.partition('::')[0]}:{line}: {source}"


def _line_of(file: str, error: BaseException) -> int | None:
    """Return the innermost line of the file in the error's traceback; a child's is in the error's note."""
    noted = "\n".join(getattr(error, "__notes__", ()))
    lines = [int(line) for line in re.findall(rf'File "{re.escape(file)}", line (\d+)', noted)]
    lines = lines or [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return lines[-1] if lines else None


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

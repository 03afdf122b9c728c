"""A process that measures one row as often as it is asked (serve.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .clock import Sample, Way
from .row import NotMeasuredError
from .tree import PACKAGE, search_path

__all__ = ["Worker"]


class Worker:
    """The process, in which the package in *package* is measured; its `ways` are those of the row."""

    def __init__(self, row: str, package: Path = PACKAGE, inside: Sequence[str] = ()) -> None:
        """*inside* is a command that executes its arguments, after it has prepared what the row finds."""
        self._row = row
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-P", "-m", "benchmarks.serve", row],
            env=os.environ | search_path(package=package),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.ways: dict[str, Way] = {name: self._way(name) for name in self._answer()}
        except BaseException:
            self.close()
            raise

    def _way(self, name: str) -> Way:
        def measured(loops: int) -> Sample:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{name} {loops}\n".encode())
            self._process.stdin.flush()
            return Sample(**self._answer())

        return measured

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        if not (answer := self._process.stdout.readline()):
            status = self._process.wait()
            raise NotMeasuredError(f"the process for {self._row} ended with status {status}; its output is above")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

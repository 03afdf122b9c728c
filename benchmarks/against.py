"""Two revisions beside each other: a process for each, which take turns at the same row of this harness.

The other revision's package is extracted from git; the harness, its floor and its peers are those of this checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from .clock import Sample, Way

__all__ = ["RevisionError", "compared", "extracted"]

_ROOT = Path(__file__).parents[1]
_PARTS = ("pytest_ipc", "conformance", "pyproject.toml")  # a revision must have all of them


class RevisionError(Exception):
    """A revision that git does not know, or that cannot be measured."""


@contextmanager
def extracted(revision: str) -> Iterator[Path]:
    """Extract the package and the suite of *revision* into a temporary directory. RevisionError."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit.returncode:
        raise RevisionError(f"--against must be a revision of this git repository, not {revision!r}")
    archive = _git("archive", "--format=tar", commit.stdout.decode().strip(), *_PARTS)
    if archive.returncode:
        raise RevisionError(f"cannot extract {revision}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


@contextmanager
def compared(row: str, other: Path) -> Iterator[Mapping[str, Way]]:
    """Give the ways "ours", of this checkout, and "peer", of the tree *other*, each in a process of its own."""
    with Worker(row, _ROOT) as ours, Worker(row, other) as theirs:
        yield {"ours": ours, "peer": theirs}


class Worker:
    """A process that measures our way of one row with the package in *tree*."""

    def __init__(self, row: str, tree: Path) -> None:
        path = dict.fromkeys([str(tree), str(_ROOT)])  # that revision's package, but this harness
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.worker", row],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __call__(self, loops: int) -> Sample:
        """Measure in the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(b"%d\n" % loops)
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = b""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            raise RevisionError(f"the worker process ended with status {self._process.wait()}")
        return Sample(**json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, check=False)

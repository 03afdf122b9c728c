"""Two revisions beside each other: a process for each, which take turns at the same row of this harness.

The other revision's package is extracted from git; the harness, its floor and its peers are those of this checkout.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from .clock import Way
from .row import Row
from .tree import ROOT
from .worker import Worker

__all__ = ["RevisionError", "compared", "extracted"]

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
def compared(row: Row, other: Path) -> Iterator[Mapping[str, Way]]:
    """Give the ways "ours", of this checkout, and "peer", of the tree *other*, each in a process of its own."""
    inside = row.inside()
    with Worker(row.name, ROOT, inside) as here, Worker(row.name, other, inside) as there:
        yield {"ours": here.ways["ours"], "peer": there.ways["ours"]}


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)

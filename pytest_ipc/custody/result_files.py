"""Result files: what a reaper leaves for the controller of a dead pytest-xdist worker, whose crash report names it.

A file lies among the ledgers until the controller has read it. It is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..unpatched import io, json, os, time
from .cleanup import failures_ignored
from .identity import Process
from .parse import ParsedLedger
from .state_dir import StateDir, StateDirError, state_dirs

__all__ = ["remove_stale_results", "results_pending", "take_results", "write_result"]

SUFFIX = ".swept"
STALE = 3600  # seconds after which nobody comes for one any more
LARGEST = 1 << 24  # characters


def write_result(state_dir: StateDir, ledger: ParsedLedger, removed: list[str], left: list[str]) -> None:
    """Leave for the controller what was removed after the process of a ledger, and what had to be left."""
    if not (removed or left):
        return
    root = [ledger.root.pid, ledger.root.start] if ledger.root else None
    word = {"root": root, "run": ledger.run, "worker": ledger.worker, "removed": removed, "left": left}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    half, whole = f".{ledger.name}.word", f".{ledger.name}{SUFFIX}"  # it is read the moment it is there
    with failures_ignored:
        with io.open(os.open(half, flags, 0o600, dir_fd=state_dir.fd), "w") as file:
            json.dump(word, file)
        os.rename(half, whole, src_dir_fd=state_dir.fd, dst_dir_fd=state_dir.fd)


def take_results(state_dir: StateDir, run: str, worker: str) -> Iterator[tuple[list[str], list[str]]]:
    """Take what was left on a worker: what was removed, and what had to be left."""
    for name, word in _words(state_dir):
        if (word.get("run"), word.get("worker")) == (run, worker):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=state_dir.fd)
                yield _lines(word.get("removed")), _lines(word.get("left"))


def results_pending(root: Process, *, take_back: bool = False) -> bool:
    """Whether a word on a process of *root*'s run still waits for the controller; with *take_back* none does any more."""
    waits = False
    with suppress(StateDirError):
        for state_dir in state_dirs([]):
            for name, word in _words(state_dir):
                if word.get("root") == [root.pid, root.start]:
                    waits = True
                    if take_back:
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=state_dir.fd)
    return waits and not take_back


def remove_stale_results(state_dir: StateDir) -> None:
    """Remove what nobody has come for, of runs that are over."""
    for name in os.listdir(state_dir.fd):
        if name.endswith(SUFFIX):
            with failures_ignored:
                if os.stat(name, dir_fd=state_dir.fd, follow_symlinks=False).st_mtime < time.time() - STALE:
                    os.unlink(name, dir_fd=state_dir.fd)


def _words(state_dir: StateDir) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every word that can be read, by the name of its file."""
    for name in os.listdir(state_dir.fd):
        if name.endswith(SUFFIX):
            with suppress(ValueError, RecursionError), failures_ignored:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state_dir.fd)
                try:
                    with io.open(fd, closefd=False) as file:
                        word = json.loads(file.read(LARGEST))
                finally:
                    os.close(fd)
                if isinstance(word, dict):
                    yield name, word


def _lines(value: Any) -> list[str]:
    return [line for line in value if isinstance(line, str)] if isinstance(value, list) else []

"""Result files: the reaper of a dead pytest-xdist worker reports its removals to the controller, for the crash report.

A result file is in the state directory until the controller has read it, and appears there atomically.
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
STALE = 3600  # seconds after which no controller will collect one
LARGEST = 1 << 24  # characters


def write_result(state_dir: StateDir, ledger: ParsedLedger, removed: list[str], left: list[str]) -> None:
    """Write the removed and the remaining objects of a dead process to a result file for the controller."""
    if not (removed or left):
        return
    root = [ledger.root.pid, ledger.root.start] if ledger.root else None
    result = {"root": root, "run": ledger.run, "worker": ledger.worker, "removed": removed, "left": left}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # Renamed when complete, as it is read as soon as it appears.
    half, whole = f".{ledger.name}.word", f".{ledger.name}{SUFFIX}"
    with failures_ignored:  # the crash report lacks the line; the objects are removed anyway
        with io.open(os.open(half, flags, 0o600, dir_fd=state_dir.fd), "w") as file:
            json.dump(result, file)
        os.rename(half, whole, src_dir_fd=state_dir.fd, dst_dir_fd=state_dir.fd)


def take_results(state_dir: StateDir, run: str, worker: str) -> Iterator[tuple[list[str], list[str]]]:
    """Read and remove the result files of a worker. Yield the removed and the remaining objects, as lines."""
    for name, result in _results(state_dir):
        if (result.get("run"), result.get("worker")) == (run, worker):
            with suppress(FileNotFoundError):  # another process has taken it
                os.unlink(name, dir_fd=state_dir.fd)
                yield _lines(result.get("removed")), _lines(result.get("left"))


def results_pending(root: Process, *, take_back: bool = False) -> bool:
    """Return whether result files of *root*'s run wait for the controller; with *take_back*, remove them."""
    waits = False
    with suppress(StateDirError):  # without a state directory there are none
        for state_dir in state_dirs([]):
            for name, result in _results(state_dir):
                if result.get("root") == [root.pid, root.start]:
                    waits = True
                    if take_back:
                        with suppress(FileNotFoundError):  # another process has taken it
                            os.unlink(name, dir_fd=state_dir.fd)
    return waits and not take_back


def remove_stale_results(state_dir: StateDir) -> None:
    """Remove result files of finished runs that no controller collected."""
    for name in os.listdir(state_dir.fd):
        if name.endswith(SUFFIX):
            with failures_ignored:  # removed meanwhile, or another user's
                if os.stat(name, dir_fd=state_dir.fd, follow_symlinks=False).st_mtime < time.time() - STALE:
                    os.unlink(name, dir_fd=state_dir.fd)


def _results(state_dir: StateDir) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file name and content of every readable result file."""
    for name in os.listdir(state_dir.fd):
        if name.endswith(SUFFIX):
            with suppress(ValueError, RecursionError), failures_ignored:  # not a result file, or removed meanwhile
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state_dir.fd)
                try:
                    with io.open(fd, closefd=False) as file:
                        result = json.loads(file.read(LARGEST))
                finally:
                    os.close(fd)
                if isinstance(result, dict):
                    yield name, result


def _lines(value: Any) -> list[str]:
    return [line for line in value if isinstance(line, str)] if isinstance(value, list) else []

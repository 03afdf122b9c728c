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
from .parse import Book
from .state_dir import Home, HomeError, homes

__all__ = ["forget_words", "leave_word", "take_words", "words_wait"]

SUFFIX = ".swept"
STALE = 3600  # seconds after which nobody comes for one any more
LARGEST = 1 << 24  # characters


def leave_word(home: Home, book: Book, removed: list[str], left: list[str]) -> None:
    """Leave for the controller what was removed after the process of a ledger, and what had to be left."""
    if not (removed or left):
        return
    root = [book.root.pid, book.root.start] if book.root else None
    word = {"root": root, "run": book.run, "worker": book.worker, "removed": removed, "left": left}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    half, whole = f".{book.name}.word", f".{book.name}{SUFFIX}"  # it is read the moment it is there
    with failures_ignored:
        with io.open(os.open(half, flags, 0o600, dir_fd=home.fd), "w") as file:
            json.dump(word, file)
        os.rename(half, whole, src_dir_fd=home.fd, dst_dir_fd=home.fd)


def take_words(home: Home, run: str, worker: str) -> Iterator[tuple[list[str], list[str]]]:
    """Take what was left on a worker: what was removed, and what had to be left."""
    for name, word in _words(home):
        if (word.get("run"), word.get("worker")) == (run, worker):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=home.fd)
                yield _lines(word.get("removed")), _lines(word.get("left"))


def words_wait(root: Process, *, take_back: bool = False) -> bool:
    """Whether a word on a process of *root*'s run still waits for the controller; with *take_back* none does any more."""
    waits = False
    with suppress(HomeError):
        for home in homes([]):
            for name, word in _words(home):
                if word.get("root") == [root.pid, root.start]:
                    waits = True
                    if take_back:
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=home.fd)
    return waits and not take_back


def forget_words(home: Home) -> None:
    """Remove what nobody has come for, of runs that are over."""
    for name in os.listdir(home.fd):
        if name.endswith(SUFFIX):
            with failures_ignored:
                if os.stat(name, dir_fd=home.fd, follow_symlinks=False).st_mtime < time.time() - STALE:
                    os.unlink(name, dir_fd=home.fd)


def _words(home: Home) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every word that can be read, by the name of its file."""
    for name in os.listdir(home.fd):
        if name.endswith(SUFFIX):
            with suppress(ValueError, RecursionError), failures_ignored:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home.fd)
                try:
                    with io.open(fd, closefd=False) as file:
                        word = json.loads(file.read(LARGEST))
                finally:
                    os.close(fd)
                if isinstance(word, dict):
                    yield name, word


def _lines(value: Any) -> list[str]:
    return [line for line in value if isinstance(line, str)] if isinstance(value, list) else []

"""What is owned now: every open record of every ledger, by whom, since when, made by which test, in which IPC namespace."""

from __future__ import annotations

from collections.abc import Iterator

from ..unpatched import os, time
from .home import home_path, open_home
from .kinds import KINDS, UNKNOWN
from .namespaces import process_in
from .reading import Book, Refused, books, plain, read

__all__ = ["status"]


def status() -> Iterator[str]:
    """The lines that `pytest-ipc status` prints. HomeError."""
    yield f"ledgers in {home_path()}"
    home = open_home(create=False)
    if home is None:
        yield "nothing is owned: there is no such directory"
        return
    count = 0
    try:
        for name in books(home):
            try:
                book, fd = read(home, name)
            except FileNotFoundError:
                continue
            except Refused as refusal:
                yield f"refused: {refusal}"
                continue
            os.close(fd)
            if book.doubt:
                yield f"refused: {book.doubt}"
            for line in _lines(book):
                count += 1
                yield line
    finally:
        os.close(home)
    yield f"{count} objects are owned" if count else "nothing is owned"


def _lines(book: Book) -> Iterator[str]:
    worker = f" (worker {book.worker})" if book.worker else ""
    owner = f"process {book.process.pid}{worker}"
    if book.is_elsewhere:
        owner += f" of {book.pids}"
    if reason := book.unjudged:
        owner += f"; whether it lives cannot be known from here: {reason}"
    elif not book.alive:
        owner += ", which is dead: `pytest-ipc sweep` clears up"
    for entry in book.open:
        what = KINDS.get(entry.kind, UNKNOWN).describe(entry)
        test = f", made by {entry.test}" if entry.test else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.details["at"]))
        where = f", in {entry.details['ipc']}{_gone(entry.details['ipc'])}" if "ipc" in entry.details else ""
        yield plain(f"{what}{test}, since {since}{where}, owned by {owner}")


def _gone(namespace: str) -> str:
    """What is to be said of a namespace that has gone, and taken its objects with it."""
    try:
        return ", which is gone with all in it" if namespace and process_in(namespace) is None else ""
    except OSError:  # it cannot be told from here
        return ""

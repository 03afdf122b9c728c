"""Reading a ledger that anybody may have written: what is in it is a claim, and is believed only as far as it can be proved.

The file must be a plain one of this user's, with one name, not too large; what is no record in it is passed over. What the
records say is still checked against the kernel, kind by kind, before anything is touched.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .identity import Process, boot_id
from .kinds import KINDS, Entry
from .ledger import LONGEST, VERSION

__all__ = ["Book", "Refused", "books", "read"]

# A ledger is cut back at a quarter of a megabyte; one that is so much larger is no ledger.
LARGEST = 1 << 26


_NAME = re.compile(r"(\d{1,10})-(\d{1,20})\.ledger")


class Refused(Exception):
    """A file among the ledgers that is none, or not ours: why."""


@dataclass
class Book:
    """A ledger as it was read: whose it is, and what is open in it. `root` is None when its first line is not whole."""

    name: str
    process: Process
    root: Process | None
    boot: str
    worker: str | None
    run: str | None
    open: list[Entry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the process that writes it still runs."""
        return self.boot == boot_id() and self.process.alive()


def books(home: int) -> Iterator[str]:
    """The names of the ledgers in the directory *home*."""
    return (name for name in sorted(os.listdir(home)) if name.endswith(".ledger") and not name.startswith("."))


def read(home: int, name: str) -> tuple[Book, int]:
    """The ledger *name*, and a descriptor of its file. Refused if it is none; FileNotFoundError when it is gone."""
    # O_NONBLOCK: a FIFO in its place must not keep anybody waiting.
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{name}: it is no regular file")
        if status.st_uid != os.geteuid() or status.st_nlink > 1:
            raise Refused(f"{name}: it belongs to user {status.st_uid} and has {status.st_nlink} names")
        if status.st_size > LARGEST:
            raise Refused(f"{name}: {status.st_size} bytes are too many for a ledger")
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return _parse(name, b"".join(parts)), fd
    except BaseException:
        os.close(fd)
        raise


def _parse(name: str, data: bytes) -> Book:
    if b"\n" not in data and len(data) < LONGEST and (match := _NAME.fullmatch(name)):
        # Its writer has died, or is about to go on, before the first line was whole: nothing can have been made yet.
        process = Process(int(match[1]), int(match[2]))
        return Book(name, process, None, boot_id(), None, None)
    lines = data.split(b"\n")
    lines.pop()  # what follows the last line's end: nothing, or a record cut short by its writer's death
    try:
        word, version, text = lines[0].decode().split(" ", 2)
        header = json.loads(text)
        if word != "pytest-ipc":
            raise ValueError(word)
        if int(version) != VERSION:
            raise Refused(f"{name}: version {version} of the ledger is not known here")
        book = Book(
            name,
            Process(int(header["pid"]), int(header["start"])),
            Process(*map(int, header["root"])),
            str(header["boot"]),
            header.get("worker"),
            header.get("run"),
        )
    except (ValueError, KeyError, TypeError, IndexError, UnicodeDecodeError):
        raise Refused(f"{name}: it does not begin as a ledger does") from None
    entries: dict[int, Entry] = {}
    test: str | None = None
    for line in lines[1:]:
        try:
            match line.decode().split(" ", 3):
                case ["@", *rest]:
                    found = json.loads(" ".join(rest))
                    test = found if isinstance(found, str) else None
                case ["+", number, kind, details]:
                    entries[int(number)] = _entry(book, int(number), kind, json.loads(details), test)
                case ["=", number, *rest]:
                    made = json.loads(" ".join(rest))
                    entries[int(number)].made = {key: int(value) for key, value in made.items()}
                case ["-", number]:
                    entries.pop(int(number), None)
                case _:
                    raise ValueError("no record")
        except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError):
            if line:
                book.unreadable.append(line[:80].decode(errors="replace"))
    book.open = list(entries.values())
    return book


def _entry(book: Book, number: int, kind: str, details: Any, test: str | None) -> Entry:
    needs = KINDS[kind].needs if kind in KINDS else {}
    for name, wanted in {"at": float, "uid": int, **needs}.items():
        if not isinstance(details[name], wanted):
            raise TypeError(name)
    return Entry(number, kind, dict(details), test=test, pid=book.process.pid)

"""Parse a ledger that anybody may have written: its contents are claims, believed only as far as they can be verified.

The file must be a plain one of this user's, with one name, not too large; what is no record in it is passed over. What the
records say is still checked against the kernel, kind by kind, before anything is touched.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from ..printable import plain
from ..unpatched import io, json, os
from .identity import Process, is_hidden, proc_is_mounted
from .kinds import KINDS, UNKNOWN, Entry, Kind
from .ledger import LONGEST
from .machine import boot_id, foreign
from .namespaces import members, pid_inside, pid_namespace, sees_below, time_namespace
from .state_dir import is_owners
from .state_paths import LEDGER_NAME
from .validators import PROCESS, Checks, is_number, is_optional_text, is_text, is_time

__all__ = ["ParsedLedger", "Refused", "ancestors", "ledger_names", "process_of", "read", "read_from"]

_VERSIONS = {"1", "2"}  # 1 was without what tells of machine and time, and without the ids of namespaces

# A ledger is cut back at a quarter of a megabyte; one that is so much larger is no ledger.
LARGEST = 1 << 26


class Refused(Exception):
    """A file among the ledgers that is none, or not ours: why."""


@dataclass
class ParsedLedger:
    """A ledger as it was read: whose it is, and what is open in it. `root` is None when its first line is not whole.

    `above` are the processes with a ledger that its process descends from. `pids` is the PID namespace whose numbers it has, which
    lies below or is `inside`; `time` the time namespace of its process. `foreign` says why it may be another machine's.
    """

    name: str
    process: Process
    root: Process | None
    boot: str
    pids: str = ""
    inside: str = ""
    time: str = ""
    machine: str = ""
    worker: str | None = None
    run: str | None = None
    above: frozenset[Process] = frozenset()
    foreign: str = ""
    open: list[Entry] = field(default_factory=list)
    unreadable: int = 0
    first_unreadable: str = ""

    @property
    def unjudged(self) -> str:
        """Why it cannot be known from here whether the process that writes it lives; "" if it can."""
        return self._judge()[1]

    @property
    def alive(self) -> bool:
        """Whether that process still runs, or may run."""
        return self._judge()[0]

    def _judge(self) -> tuple[bool, str]:
        if self.foreign:
            return True, self.foreign
        if not proc_is_mounted():
            return True, "no /proc is mounted here, and so no process is known to have ended"
        if self.boot != boot_id():
            return False, ""
        # Of a fraction of a tick, which a time namespace may add, start times do not tell.
        slack = 0 if self.time == time_namespace() else 1
        if not self.is_remote:
            if not self.process.alive(slack=slack) and pid_namespace() and is_hidden(self.process.pid):
                return True, "/proc does not show its process"
            return self.process.alive(slack=slack), ""
        if not sees_below(self.inside):
            return True, f"its process is in {self.pids}, which cannot be seen from here"
        try:
            for pid in members(self.pids):
                inner = pid_inside(pid)
                if inner is None or (inner == self.process.pid and Process(pid, self.process.start).alive(slack=slack)):
                    return True, ""
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
            return True, f"its process is in {self.pids}: {error.strerror}"
        return False, ""

    @property
    def is_remote(self) -> bool:
        """Whether its process ids are another PID namespace's."""
        return bool(self.pids) and self.pids != pid_namespace()

    @property
    def doubt(self) -> str:
        """What is in it that is no record, in one line; "" if there is nothing."""
        if not self.unreadable:
            return ""
        lines = "1 line is no record" if self.unreadable == 1 else f"{self.unreadable} lines are no records, the first"
        return f"{self.name}: {lines}: {self.first_unreadable!r}"


def ledger_names(state_dir: int) -> Iterator[str]:
    """The names of the ledgers in the directory *home*."""
    return (name for name in sorted(os.listdir(state_dir)) if name.endswith(".ledger") and not name.startswith("."))


def process_of(name: str) -> Process | None:
    """Return the process whose ledger has that name; None if it is not the name of a ledger.

    A process has several: one more each time that it has become another program (execve(2)).
    """
    match = LEDGER_NAME.fullmatch(name)
    return Process(int(match[1]), int(match[2])) if match else None


def read(state_dir: int, name: str) -> tuple[ParsedLedger, int]:
    """The ledger *name*, and a descriptor of its file. Refused if it is none; FileNotFoundError when it is gone."""
    fd = _open(state_dir, name)
    try:
        ledger = read_from(fd, name)
        ledger.foreign = foreign(ledger.boot, ledger.machine, state_dir, os.fstat(fd).st_mtime)
        return ledger, fd
    except BaseException:
        os.close(fd)
        raise


def read_from(fd: int, name: str) -> ParsedLedger:
    """Return the ledger that *fd* has open, and that had that name. Refused."""
    os.lseek(fd, 0, os.SEEK_SET)
    with io.open(fd, "rb", closefd=False) as file:
        return _parse(name, file)


def ancestors(state_dir: int, name: str) -> frozenset[Process] | None:
    """Return the processes that the writer of the ledger *name* descends from; None before its first line is whole.

    Raises as read() does.
    """
    fd = _open(state_dir, name)
    try:
        first, end, _ = os.read(fd, LONGEST).partition(b"\n")
    finally:
        os.close(fd)
    return _header(name, first).above if end else None


def _open(state_dir: int, name: str) -> int:
    # Looked at before it is opened, for to open a device may do something; and again after, for it may have been exchanged.
    _check_file(name, os.stat(name, dir_fd=state_dir, follow_symlinks=False))
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state_dir)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise Refused(f"{name}: {error.strerror}") from None
    try:
        _check_file(name, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_file(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{name}: it is no regular file")
    if not is_owners(status):
        raise Refused(f"{name}: it belongs to user {status.st_uid}")
    if status.st_nlink > 1:
        raise Refused(f"{name}: it has {status.st_nlink} names")
    if status.st_size > LARGEST:
        raise Refused(f"{name}: {status.st_size} bytes are too many for a ledger")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The whole lines of a ledger without their ends; of one that is too long, as much as shows that."""
    rest = LARGEST  # it may grow while it is read
    while rest > 0 and (line := file.readline(LONGEST + 1)):
        rest -= len(line)
        whole = line
        while rest > 0 and line and not line.endswith(b"\n"):
            line = file.readline(LONGEST + 1)
            rest -= len(line)
        if not line.endswith(b"\n"):
            return  # what follows the last line's end is a record cut short by its writer's death
        yield whole.removesuffix(b"\n")


def _parse(name: str, file: IO[bytes]) -> ParsedLedger:
    lines = _lines(file)
    first = next(lines, None)
    process = process_of(name)
    if first is None and process and file.tell() < LONGEST:
        # Its writer has died, or is about to go on, before the first line was whole: nothing can have been made yet.
        return ParsedLedger(name, process, None, boot_id())
    ledger = _header(name, first or b"")
    if ledger.process != process:
        raise Refused(f"{name}: it tells of process {ledger.process.pid}, and its name does not")
    entries: dict[int, Entry] = {}
    test: str | None = None
    for line in lines:
        try:
            if len(line) > LONGEST:
                raise ValueError("too long")
            match line.decode().split(" ", 3):
                case ["@", *rest]:
                    found = json.loads(" ".join(rest))
                    test = found if isinstance(found, str) else None
                case ["+", number, kind, details]:
                    entries[int(number)] = _entry(ledger, int(number), kind, json.loads(details), test)
                case ["=", number, *rest]:
                    entry = entries[int(number)]
                    entry.made = _checked(json.loads(" ".join(rest)), _kind(entry.kind).made)
                case ["-", number]:
                    entries.pop(int(number), None)
                case _:
                    raise ValueError("no record")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            ledger.first_unreadable = ledger.first_unreadable or line[:80].decode(errors="replace")
            ledger.unreadable += 1
    ledger.open = list(entries.values())
    return ledger


def _header(name: str, line: bytes) -> ParsedLedger:
    try:
        word, version, text = line.decode().split(" ", 2)
        if word != "pytest-ipc":
            raise ValueError(word)
        if version not in _VERSIONS:
            raise Refused(f"{name}: version {plain(version)} of the ledger is not known here")
        header = _checked(json.loads(text), _HEADER)
        return ParsedLedger(
            name,
            Process(header["pid"], header["start"]),
            _process(header["root"]),
            header["boot"],
            pids=header.get("pids") or "",
            inside=header.get("inside") or "",
            time=header.get("time") or "",
            machine=header.get("machine") or "",
            worker=header.get("worker"),
            run=header.get("run"),
            above=frozenset(map(_process, header.get("above") or ())),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(f"{name}: it does not begin as a ledger does") from None


_HEADER: Checks = {
    **PROCESS,
    "boot": is_text,
    "pids": is_optional_text,
    "inside": is_optional_text,
    "time": is_optional_text,
    "machine": is_optional_text,
    "worker": is_optional_text,
    "run": is_optional_text,
    "root": lambda value: isinstance(value, list),
    "above": lambda value: value is None or isinstance(value, list),
}
_COMMON: Checks = {"at": is_time, "uid": is_number(0, 2**32 - 1)}


def _checked(details: Any, checks: Checks) -> dict[str, Any]:
    """*details*, a mapping of what it must be. ValueError."""
    if not isinstance(details, dict):
        raise ValueError("no mapping")
    for name, is_right in checks.items():
        if not is_right(details.get(name)):
            raise ValueError(name)
    return details


def _process(pair: Any) -> Process:
    return Process(**_checked(dict(zip(("pid", "start"), pair, strict=True)), PROCESS))


def _kind(name: str) -> Kind:
    return KINDS.get(name, UNKNOWN)


def _entry(ledger: ParsedLedger, number: int, kind: str, details: Any, test: str | None) -> Entry:
    details = _checked(details, {**_COMMON, **_kind(kind).needs})
    return Entry(number, kind, details, test=test, pid=ledger.process.pid, start=ledger.process.start)

"""Parse a ledger. Anybody may have written it, so its contents are claims to be verified.

The file must be a regular file of this user, with one link, at most LARGEST bytes; invalid lines are skipped. Each kind
verifies its records against the kernel before it removes anything.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from functools import cached_property
from typing import IO, Any

from ..printable import plain
from ..unpatched import io, json, os
from .format import LONGEST
from .identity import Process, is_hidden, proc_is_mounted
from .kinds import KINDS, UNKNOWN, Entry, Kind
from .machine import boot_id, foreign
from .namespaces import members, pid_inside, pid_namespace, sees_below, time_namespace
from .state_dir import is_owners
from .state_paths import ledger_name
from .validators import PROCESS, Checks, is_number, is_optional_text, is_text, is_time

__all__ = ["ParsedLedger", "Refused", "ancestors", "ledger_names", "process_of", "read", "read_from", "run_of"]

_VERSIONS = {"1", "2"}  # 1 lacks machine, time namespace and namespace ids

# Bytes. Ledgers are truncated at 256 KiB, so a file this large is not a ledger.
LARGEST = 1 << 26


class Refused(Exception):
    """Raised for a file that is not a valid ledger of this user, with the reason."""


class ParsedLedger:
    """A parsed ledger: its process and its open records. `root` is None if the header is incomplete.

    `above` are the ancestors of its process that have a ledger. `pids` is the PID namespace of its process ids, equal
    to or below `inside`; `time` is the time namespace of its process. `foreign` is why it may be of another machine.
    """

    def __init__(
        self,
        name: str,
        process: Process,
        root: Process | None,
        boot: str,
        *,
        pids: str = "",
        inside: str = "",
        time: str = "",
        machine: str = "",
        worker: str | None = None,
        run: str | None = None,
        above: frozenset[Process] = frozenset(),
    ) -> None:
        self.name = name
        self.process = process
        self.root = root
        self.boot = boot
        self.pids = pids
        self.inside = inside
        self.time = time
        self.machine = machine
        self.worker = worker
        self.run = run
        self.above = above
        self.foreign = ""
        self.open: list[Entry] = []
        self.unreadable = 0
        self.first_unreadable = ""

    @property
    def unjudged(self) -> str:
        """Why it cannot be determined whether its process is alive; "" if it can."""
        return self._judge()[1]

    @property
    def alive(self) -> bool:
        """Whether its process is alive, or may be."""
        return self._judge()[0]

    def _judge(self) -> tuple[bool, str]:
        if self.foreign:
            return True, self.foreign
        if not proc_is_mounted():
            return True, "/proc is not mounted, so no process can be shown to have ended"
        if self.boot != boot_id():
            return False, ""
        # A time namespace may add a fraction of a tick to start times.
        slack = 0 if self.time == time_namespace() else 1
        if not self.is_remote:
            if not self.process.alive(slack=slack) and pid_namespace() and is_hidden(self.process.pid):
                return True, "/proc does not show its process"
            return self.process.alive(slack=slack), ""
        if not sees_below(self.inside):
            return True, f"its process is in {self.pids}, which is not visible from here"
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

    @cached_property
    def is_remote(self) -> bool:
        """Whether its process ids are of another PID namespace."""
        return bool(self.pids) and self.pids != pid_namespace()

    @property
    def doubt(self) -> str:
        """The number of its invalid lines and the first of them, in one line; "" if there are none."""
        if not self.unreadable:
            return ""
        if self.unreadable == 1:
            lines = "1 line is not a valid record"
        else:
            lines = f"{self.unreadable} lines are not valid records, the first"
        return f"{self.name}: {lines}: {self.first_unreadable!r}"


def ledger_names(state_dir: int) -> Iterator[str]:
    """Yield the sorted names of the ledgers in the directory open as *state_dir*."""
    return (name for name in sorted(os.listdir(state_dir)) if name.endswith(".ledger") and not name.startswith("."))


def run_of(ledger: ParsedLedger) -> str:
    """Return the name of the ledger's run: its first process, with the PID namespace if that is another one."""
    first = ledger.root or ledger.process
    return plain(f"run of process {first.pid}" + (f" of {ledger.pids}" if ledger.is_remote else ""))


def process_of(name: str) -> Process | None:
    """Return the process whose ledger has that name; None if the name is not valid.

    A process has several ledgers: execve(2) starts another.
    """
    match = ledger_name().fullmatch(name)
    return Process(int(match[1]), int(match[2])) if match else None


def read(state_dir: int, name: str) -> tuple[ParsedLedger, int]:
    """Return the parsed ledger *name* and a descriptor of its file. Raises Refused or FileNotFoundError."""
    fd = _open(state_dir, name)
    try:
        ledger = read_from(fd, name)
        ledger.foreign = foreign(ledger.boot, ledger.machine, state_dir, os.fstat(fd).st_mtime)
        return ledger, fd
    except BaseException:
        os.close(fd)
        raise


def read_from(fd: int, name: str) -> ParsedLedger:
    """Parse the ledger open as *fd*, which has or had that name. Raises Refused."""
    os.lseek(fd, 0, os.SEEK_SET)
    with io.open(fd, "rb", closefd=False) as file:
        return _parse(name, file)


def ancestors(state_dir: int, name: str) -> frozenset[Process] | None:
    """Return the ancestors in the header of the ledger *name*; None if the header is incomplete.

    Raises the exceptions of read().
    """
    fd = _open(state_dir, name)
    try:
        first, end, _ = os.read(fd, LONGEST).partition(b"\n")
    finally:
        os.close(fd)
    return _header(name, first).above if end else None


def _open(state_dir: int, name: str) -> int:
    # Checked before open(2), which may have effects on a device, and after it, as the file may have been replaced.
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
        raise Refused(f"{name}: it is not a regular file")
    if not is_owners(status):
        raise Refused(f"{name}: it belongs to user {status.st_uid}")
    if status.st_nlink > 1:
        raise Refused(f"{name}: it has {status.st_nlink} links")
    if status.st_size > LARGEST:
        raise Refused(f"{name}: a ledger must be at most {LARGEST} bytes, not {status.st_size}")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the complete lines of a ledger without newline, truncated to LONGEST + 1 bytes."""
    rest = LARGEST  # it may grow while it is read
    while rest > 0 and (line := file.readline(LONGEST + 1)):
        rest -= len(line)
        whole = line
        while rest > 0 and line and not line.endswith(b"\n"):
            line = file.readline(LONGEST + 1)
            rest -= len(line)
        if not line.endswith(b"\n"):
            return  # a record truncated by the death of its writer
        yield whole.removesuffix(b"\n")


def _parse(name: str, file: IO[bytes]) -> ParsedLedger:
    lines = _lines(file)
    first = next(lines, None)
    process = process_of(name)
    if first is None and process and file.tell() < LONGEST:
        # Its header is incomplete, so its process cannot have created an object yet.
        return ParsedLedger(name, process, None, boot_id())
    ledger = _header(name, first or b"")
    if ledger.process != process:
        raise Refused(f"{name}: its header names process {ledger.process.pid}, its file name does not")
    entries: dict[int, Entry] = {}
    invalid: dict[int | None, tuple[int, str]] = {}  # by record: the number of its invalid lines, and the first
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
                    invalid.pop(int(number), None)  # its object is gone, whatever it was
                case _:
                    raise ValueError("not a record")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            record = _record_of(line)
            lines_of_it, shown = invalid.get(record, (0, line[:80].decode(errors="replace")))
            invalid[record] = lines_of_it + 1, shown
    ledger.open = list(entries.values())
    ledger.unreadable = sum(number for number, _ in invalid.values())
    ledger.first_unreadable = next((shown for _, shown in invalid.values()), "")
    return ledger


def _record_of(line: bytes) -> int | None:
    """Return the number of the record that an invalid line belongs to, if it shows that."""
    found = re.match(rb"[+=] (\d{1,18}) ", line)
    return int(found[1]) if found else None


def _header(name: str, line: bytes) -> ParsedLedger:
    try:
        magic, version, text = line.decode().split(" ", 2)
        if magic != "pytest-ipc":
            raise ValueError(magic)
        if version not in _VERSIONS:
            raise Refused(f"{name}: version {plain(version)} of the ledger is not supported")
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
        raise Refused(f"{name}: its first line is not a valid ledger header") from None


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
    """Return *details* if it is a mapping whose values pass *checks*. Raises ValueError."""
    if not isinstance(details, dict):
        raise ValueError("not a mapping")
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

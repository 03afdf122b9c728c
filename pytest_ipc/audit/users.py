"""The processes that have IPC objects attached, mapped or open, as /proc shows them (proc(5))."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from ..kernel.proc import process_state
from ..processes.history import open_ipc_files
from ..unpatched import io, os, time

__all__ = ["Users", "find_users", "is_alive"]

_MAPPED = re.compile(r"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/\S.*)$", re.MULTILINE)
_INITIAL = {"ipc": "ipc:[4026531839]", "pid": "pid:[4026531836]"}


@dataclass
class Users:
    """Process ids by object: System V segments by id, files by device and inode number."""

    segments: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    files: dict[tuple[int, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    hidden: Counter[int] = field(default_factory=Counter)  # number of processes whose files are not readable, by user
    outside: bool = False  # whether processes outside this PID namespace may share the objects


def find_users() -> Users:
    """Read the maps and open files of all processes, as far as permitted. Raises OSError without /proc."""
    found = Users(outside=_namespace("ipc") == _INITIAL["ipc"] and _namespace("pid") != _INITIAL["pid"])
    own = _namespace("ipc")
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        pid = int(entry)
        try:
            with io.open(f"/proc/{pid}/maps", errors="surrogateescape") as maps:
                mapped = maps.read()
            same = _namespace("ipc", pid) == own
            for major, minor, inode, path in _MAPPED.findall(mapped):
                if path.startswith("/SYSV"):
                    if same:
                        found.segments[int(inode)].add(pid)
                else:
                    found.files[os.makedev(int(major, 16), int(minor, 16)), int(inode)].add(pid)
            for file in open_ipc_files(pid):
                found.files[file].add(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except PermissionError:
            with suppress(FileNotFoundError):  # it has ended
                found.hidden[os.stat(f"/proc/{pid}").st_uid] += 1
    return found


def _namespace(name: str, pid: int | str = "self") -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


def is_alive(pid: int, before: float) -> bool:
    """Return whether process *pid* is alive and started before the time *before*; a later one has reused the number."""
    state = process_state(pid)
    if state is None or state.state in "ZX":
        return False
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - state.starttime / os.sysconf("SC_CLK_TCK")
    return time.time() - age <= before + 1  # the kernel stamps objects with whole seconds

"""A program, started by test_interrupted, that interrupts a tear-down at each instruction.

    python -m tests.custody.interrupting MAKER EXCEPTION [POINTS]

It counts the instructions of this package that the end of a scope takes, and ends another scope for each of them, or
for as many as POINTS says, at which a trace function raises, as a signal's handler may. Then each object is gone or on
record, and it is gone when the scope is closed again. One JSON line is printed: how many points were tried, and what
was wrong at which.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest_ipc
from pytest_ipc.api import Ipc
from pytest_ipc.custody import ledger
from pytest_ipc.custody.identity import Process, tag_of
from pytest_ipc.custody.scope import Scope
from pytest_ipc.kernel import shm_open, shmget

from .parsed import parsed
from .remains import IS_LEFT, Note
from .scenario import start_daemon

PACKAGE = os.path.dirname(pytest_ipc.__file__)


class Stop(BaseException):
    """A BaseException, like that of pytest-timeout's handler."""


EXCEPTIONS: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "outcome": Stop,
    "TimeoutError": TimeoutError,
    "MemoryError": MemoryError,
}


def at(path: Path) -> dict[str, Any]:
    return {"path": str(path)}


def make_segment(ipc: Ipc) -> list[Note]:
    segment = ipc.sysv_shm(key=0)
    segment.attach()
    return [{"kind": "sysv-shm", "id": segment.id, "key": 0}]


def make_set(ipc: Ipc) -> list[Note]:
    made = ipc.sysv_sem()
    return [{"kind": "sysv-sem", "id": made.id, "key": made.key}]


def make_message_queue(ipc: Ipc) -> list[Note]:
    made = ipc.sysv_msg(key=0)
    return [{"kind": "sysv-msg", "id": made.id, "key": 0}]


def make_shared_memory(ipc: Ipc) -> list[Note]:
    shared = ipc.posix_shm()
    shared.map()
    return [{"kind": "posix-shm", "path": f"/dev/shm{shared.name}"}]


def make_semaphore(ipc: Ipc) -> list[Note]:
    return [{"kind": "posix-sem", "name": ipc.posix_sem().name}]


def make_queue(ipc: Ipc) -> list[Note]:
    return [{"kind": "posix-mq", "name": ipc.posix_mq(maxmsg=1, msgsize=8).name}]


def make_fifo(ipc: Ipc) -> list[Note]:
    fifo = ipc.fifo()
    return [{"kind": "fifo", **at(fifo.path)}, {"kind": "fifo", **at(fifo.path.parent)}]


def make_mapped_file(ipc: Ipc) -> list[Note]:
    path = Path(tempfile.gettempdir(), "mapped")
    ipc.mapped_file(path=path)
    return [{"kind": "mapped-file", **at(path)}]


def make_lock_file(ipc: Ipc) -> list[Note]:
    lock = ipc.file_lock()
    (lock.path.parent / "beside").mkdir()
    return [{"kind": "lock-file", **at(lock.path)}, {"kind": "lock-file", **at(lock.path.parent)}]


def make_socket(ipc: Ipc) -> list[Note]:
    path = Path(tempfile.gettempdir(), "socket")
    ipc.sockets.listen_unix(path)
    return [{"kind": "unix-socket", **at(path)}]


def make_child(ipc: Ipc) -> list[Note]:
    """Return a child with a daemon."""

    def life() -> None:
        os.environ["IPC_NOTES"] = os.devnull
        start_daemon()
        signal.pause()

    child = ipc.fork(life)
    child.wait_blocked("pause")
    me = Process(child.pid, child._process.start)
    return [{"kind": "process", "pid": me.pid, "start": me.start, "tag": tag_of(child.pid)}]


def make_under_reserved_name(ipc: Ipc) -> list[Note]:
    name = ipc.reserve_name()
    os.close(shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    return [{"kind": "reserved-name", "path": f"/dev/shm{name}"}]


def make_under_reserved_key(ipc: Ipc) -> list[Note]:
    key = ipc.reserve_key()
    return [{"kind": "reserved-key", "id": shmget(key, 100, 0o1600), "key": key}]


def make_under_reserved_path(ipc: Ipc) -> list[Note]:
    path = ipc.reserve_path()
    os.mkfifo(path)
    return [{"kind": "reserved-path", "path": path}]


ONE_EACH: dict[str, Callable[[Ipc], list[Note]]] = {
    "sysv-shm": make_segment,
    "sysv-sem": make_set,
    "sysv-msg": make_message_queue,
    "posix-shm": make_shared_memory,
    "posix-sem": make_semaphore,
    "posix-mq": make_queue,
    "fifo": make_fifo,
    "mapped-file": make_mapped_file,
    "lock-file": make_lock_file,
    "unix-socket": make_socket,
    "reserved-name": make_under_reserved_name,
    "reserved-key": make_under_reserved_key,
    "reserved-path": make_under_reserved_path,
    "process": make_child,
}


def make_several(ipc: Ipc) -> list[Note]:
    """One of every kind but a child, which would take its time."""
    return [note for kind, make in ONE_EACH.items() if kind != "process" for note in make(ipc)]


MAKERS = {**ONE_EACH, "several": make_several}


class Striker:
    """Counts the instructions of this package, and raises at one of them: once."""

    def __init__(self, point: int | None, exception: type[BaseException]) -> None:
        self.count = 0
        self.where = ""
        self._point = point
        self._exception = exception

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event in ("call", "opcode"):
            self.count += 1
            if self.count == self._point:
                self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"
                sys.settrace(None)
                raise self._exception
        return self


def strike(make: Callable[[Ipc], list[Note]], point: int | None, exception: type[BaseException]) -> Striker:
    """Close a scope with the objects of *make*, with the exception at *point*. Raises AssertionError for a leak."""
    owner = Scope()
    notes = make(Ipc(owner))
    striker = Striker(point, exception)
    raised, unraisable = False, list[Any]()  # where the interpreter ignores exceptions, as at a generator's end
    sys.unraisablehook = unraisable.append
    sys.settrace(striker)
    try:
        owner.close()
    except exception:
        raised = True
    finally:
        sys.settrace(None)
    on_record = {entry.kind for entry in parsed(ledger.current()).open}
    lost = [note for note in notes if IS_LEFT[note["kind"]](note) and note["kind"] not in on_record]
    assert not lost, f"it lives and is on no record: {lost}"
    assert raised or not striker.where or unraisable, f"what the handler raised at {striker.where} must come out"
    owner.close()
    left = [note for note in notes if IS_LEFT[note["kind"]](note)]
    assert not left, f"closed again, it is still there: {left}"
    return striker


def main() -> None:
    """Try the points."""
    name, exception = sys.argv[1], EXCEPTIONS[sys.argv[2]]
    strike(MAKERS[name], None, exception)  # what happens once only is not counted
    whole = strike(MAKERS[name], None, exception).count
    wrong = []
    points = range(1, whole + 1, max(1, whole // int(sys.argv[3])) if len(sys.argv) > 3 else 1)
    for point in points:
        try:
            strike(MAKERS[name], point, exception)
        except AssertionError as error:
            wrong.append(f"point {point} of {whole}: {error}")
    open_records = [f"{entry.kind} {entry.details}" for entry in parsed(ledger.current()).open]
    print(json.dumps({"points": len(points), "wrong": wrong, "open": open_records}))


if __name__ == "__main__":
    main()

"""The trace of a clause: its calls with the contents of their pointers, in the order of time, in all its processes.

A trace is on while the test of a clause runs (`start`, `stop`). It holds what libc.py calls and what the recorded
functions of Python's own modules call (recorded.py), and the events "(fork)", "(exit)", "(end)", "(signal)" and
"(asleep)" of children. A child writes its part to shared memory, each call before and after it is made, so that nothing
is lost if it is killed in a call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..unpatched import json, os, time
from . import libc

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# An integer, None for a null pointer, or an object: {"bytes": text in Latin-1}, {"array": […]}, {"struct": name, …},
# {"int": number} for a pointer to one, {"out": kind} for what a call did not write, {"at": address} for other memory.
Value = Any

_MOST = 2000  # events of the process that began the trace
_SLOTS, _SLOT, _PENDING = 64, 65536, 4096  # children, bytes of each, of which for the call in progress

TOO_MANY = "too many calls"  # the name of an event that stands for those of a child that are not on record
NOT_RETURNED = 1 << 62  # the end of a call that has not returned


class Event(NamedTuple):
    """One call: the process, its first and last nanosecond, the function, arguments, result, errno or 0, thread or 0.

    `begin` also identifies it. The events of processes have names in parentheses and the child as first argument.
    """

    pid: int
    begin: int
    end: int
    name: str
    arguments: tuple[Value, ...]
    result: int | None
    errno: int
    thread: int = 0

    @property
    def is_call(self) -> bool:
        """Whether it is a call, and not the begin or end of a process."""
        return not self.name.startswith("(")


class _Trace:
    def __init__(self, watcher: libc.Watcher) -> None:
        self.watcher: libc.Watcher = watcher
        self.owner: int = os.getpid()
        _Here.pid = self.owner
        self.events: list[Event] = []
        self.sizes: dict[int, int] = {}  # of semaphore sets, by id


class _Here:
    """The id of this process, without the system call: a child may not be allowed any, or may be traced at each."""

    pid = 0


def _in_child() -> None:
    _Here.pid = os.getpid()


_trace: _Trace | None = None
_memory: memoryview | None = None


def start(watcher: libc.Watcher) -> None:
    """Begin a trace, which ends another, of the calls that *watcher* observes (trace_values.py)."""
    global _trace, _memory
    if _memory is None:
        import mmap

        os.register_at_fork(after_in_child=_in_child)
        _memory = memoryview(mmap.mmap(-1, _SLOTS * _SLOT))
    for number in range(_SLOTS):
        header = _memory[number * _SLOT : number * _SLOT + 16]
        if any(header):
            header[:] = bytes(16)
    resume(_Trace(watcher))


def stop() -> None:
    """End the trace and forget it."""
    global _trace
    _trace = None
    libc.watch(None)


def resume(before: _Trace) -> None:
    """Continue a trace that was stopped."""
    global _trace
    _trace = before
    libc.watch(before.watcher)


def forget() -> None:
    """Forget, in a child, the calls that it has made so far."""
    if _trace is not None and _Here.pid != _trace.owner:
        _slot()[:16] = bytes(16)


@contextmanager
def paused() -> Iterator[None]:
    """Record nothing in the block, in this process and its children."""
    before = _trace
    stop()
    try:
        yield
    finally:
        if before is not None:
            resume(before)


def is_on() -> bool:
    """Return whether calls are recorded."""
    return _trace is not None


def events() -> list[Event]:
    """Return the events so far, by their begins; none if no trace is on."""
    if _trace is None or _memory is None:
        return []
    found = list(_trace.events)
    for number in range(_SLOTS):
        slot = _memory[number * _SLOT : (number + 1) * _SLOT]
        pid, used, pending = (int.from_bytes(slot[at : at + 4], "little") for at in (0, 4, 8))
        if pid:
            lines = bytes(slot[_PENDING : _PENDING + used]).splitlines()
            lines += [bytes(slot[16 : 16 + pending])] if pending else []
            found.extend(Event(pid, *_tuple(json.loads(line))) for line in lines)
            if slot[12]:
                found.append(Event(pid, found[-1].begin + 1, NOT_RETURNED, TOO_MANY, (), None, 0))
    return _of_the_test(sorted(found, key=lambda event: event.begin))


def _of_the_test(found: list[Event]) -> list[Event]:
    """Return the events without those of processes that this package has forked for itself, as to probe a need."""
    assert _trace is not None
    known = {_trace.owner, _Here.pid}
    for event in found:
        if event.name == "(fork)" and event.pid in known:
            known.add(event.arguments[0])
    return [event for event in found if event.pid in known]


def _tuple(fields: list[Any]) -> list[Any]:
    fields[3] = tuple(fields[3])
    return fields


def mark(name: str, *arguments: Value, result: int | None = None) -> None:
    """Add an event of a process, as "(fork)" of a child, to the trace if there is one."""
    if _trace is not None:
        now = time.monotonic_ns()
        _add(now, now, name, arguments, result, 0)


def begin(name: str, arguments: Sequence[Value]) -> int:
    """Note that a call begins, and return its first nanosecond."""
    now = time.monotonic_ns()
    if _trace is not None and _Here.pid != _trace.owner:
        text = json.dumps([now, NOT_RETURNED, name, arguments, None, 0, _thread()]).encode()
        if len(text) <= _PENDING - 16:
            slot = _slot()
            slot[16 : 16 + len(text)] = text
            slot[8:12] = len(text).to_bytes(4, "little")
    return now


def add(name: str, arguments: Sequence[Value], result: int | None, errno: int, begin: int, end: int = 0) -> None:
    """Add a call, whose arguments are values of a trace and whose end is by default now."""
    if _trace is not None:
        _add(begin, end or time.monotonic_ns(), name, arguments, result, errno)


def _add(begin: int, end: int, name: str, arguments: Sequence[Value], result: int | None, errno: int) -> None:
    assert _trace is not None
    if _Here.pid == _trace.owner:
        if len(_trace.events) == _MOST:
            name, arguments = TOO_MANY, ()
        if len(_trace.events) <= _MOST:
            event = Event(_trace.owner, begin, end, name, tuple(arguments), result, errno, _thread())
            _trace.events.append(event)
        return
    text = json.dumps([begin, end, name, arguments, result, errno, _thread()]).encode() + b"\n"
    slot = _slot()
    slot[8:12] = bytes(4)
    used = int.from_bytes(slot[4:8], "little")
    if used + len(text) > _SLOT - _PENDING:
        slot[12] = 1  # too many calls
        return
    slot[_PENDING + used : _PENDING + used + len(text)] = text
    slot[4:8] = (used + len(text)).to_bytes(4, "little")


def _slot() -> memoryview:
    """Return the part of this process, a child. Of two with one place the first is lost, which is noted."""
    assert _memory is not None
    pid = _Here.pid
    number = pid % _SLOTS
    slot = _memory[number * _SLOT : (number + 1) * _SLOT]
    owner = int.from_bytes(slot[:4], "little")
    if owner != pid:
        slot[:16] = pid.to_bytes(4, "little") + bytes(12)
    return slot


def _thread() -> int:
    return 0 if threading.current_thread() is threading.main_thread() else threading.get_native_id()


def set_sizes() -> dict[int, int]:
    """Return the numbers of semaphores of the sets seen so far, by id, to be added to."""
    return _trace.sizes if _trace is not None else {}

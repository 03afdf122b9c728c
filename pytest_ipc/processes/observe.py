"""Observe any process through /proc: its state, the call it is blocked in, files, maps, limits and IPC objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ESRCH
from typing import TypeVar

from ..custody.descendants import children_of
from ..custody.identity import Process, start_of
from ..kernel import proc
from ..kernel.pidfd import pidfd_open, pidfd_send_signal
from ..kernel.sem import GETPID, semctl
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Timeout, check_timeout, timed_out
from ..unpatched import io, os
from .sleep_watch import SleepWatch, check_states

__all__ = ["IpcUse", "MemoryMap", "Observed", "observe", "wait_until"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_MAP = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ (\d+) *(.*)$", re.MULTILINE)

Value = TypeVar("Value")


@dataclass(frozen=True)
class MemoryMap:
    """A row of /proc/PID/maps (proc_pid_maps(5)): `perms` such as "rw-s"; `path` is empty for anonymous memory."""

    start: int
    end: int
    perms: str
    offset: int
    inode: int
    path: str

    @property
    def shared(self) -> bool:
        """Whether it is mapped with MAP_SHARED."""
        return self.perms.endswith("s")


@dataclass(frozen=True)
class IpcUse:
    """The System V objects of a process, by id: segments attached, semaphore sets and message queues it used last."""

    segments: frozenset[int]
    sets: frozenset[int]
    queues: frozenset[int]


class Observed:
    """A process that is observed by its id; a later process with the same id is not mistaken for it.

    *start* is its start time in clock ticks after boot (proc_pid_stat(5)), None for the process that has the id now.
    """

    def __init__(self, pid: int, start: int | None = None) -> None:
        if isinstance(pid, bool) or not isinstance(pid, int):
            raise TypeError(f"pid must be an integer, not {pid!r}")
        if start is None and (start := start_of(pid)) is None:
            raise ProcessLookupError(ESRCH, f"no process has the id {pid}")
        self.pid = pid
        self._process = Process(pid, start)

    def __repr__(self) -> str:
        return f"<process {self.pid}>"

    @property
    def alive(self) -> bool:
        """Whether the process runs, sleeps or is stopped. A zombie has ended."""
        return self._process.alive()

    @property
    def command(self) -> str:
        """The name of the program (comm of proc_pid_comm(5)); empty if the process has ended."""
        return self._text("comm").strip()

    def wait(self, *, timeout: Timeout = DEFAULT) -> None:
        """Wait for the end of the process. TimeoutError after *timeout* seconds, with what it was doing."""
        __tracebackhide__ = True
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: not self.alive):
            raise timed_out(seconds, f"{self!r} to end", self._now)

    def _now(self) -> str:
        return f"it was {proc.doing(self.pid)}"

    def wait_blocked(self, call: str | None = None, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the kernel shows the process asleep, in system call *call* if given ("openat", "read").

        TimeoutError after *timeout* seconds, with what it did instead; ProcessLookupError if it ends; ValueError for an
        unknown call.
        """
        __tracebackhide__ = True
        watch = SleepWatch(self.pid, call, repr(self))
        what = f"to be blocked in {call}" if call else "to be blocked"
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: not self.alive or watch.asleep()):
            raise timed_out(seconds, f"{self!r} {what}", self._now)
        if not self.alive:
            raise ProcessLookupError(ESRCH, f"waited for {self!r} {what}, but it ended")

    def wait_state(self, states: str, *, timeout: Timeout = DEFAULT) -> str:
        """Wait until the state letter of the process is in *states* ("T" for stopped; proc_pid_stat(5)); return it.

        "X" is a process that has ended. TimeoutError after *timeout* seconds, with what it was doing.
        """
        __tracebackhide__ = True
        check_states(states)
        found = ""

        def reached() -> bool:
            nonlocal found
            state = proc.process_state(self.pid)
            found = state.state if state is not None and state.starttime == self._process.start else "X"
            return found in states

        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(reached):
            raise timed_out(seconds, f"{self!r} to be in state {states}", self._now)
        return found

    def signal(self, signo: int) -> None:
        """Send a signal (pidfd_send_signal(2)). ProcessLookupError if the process has ended; OSError."""
        try:
            pidfd = pidfd_open(self.pid)
        except OSError as error:  # an old kernel, a sandbox, or no such process
            if error.errno == ESRCH or not self.alive:
                raise ProcessLookupError(ESRCH, f"{self!r} has ended") from None
            os.kill(self.pid, signo)
            return
        try:
            if not self.alive:  # checked while the descriptor holds the process, so the id has not been reused
                raise ProcessLookupError(ESRCH, f"{self!r} has ended")
            pidfd_send_signal(pidfd, signo)
        finally:
            os.close(pidfd)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Read files of the process in /proc. Raises ProcessLookupError if it ends, or has ended."""
        try:
            yield
        except (FileNotFoundError, ProcessLookupError):
            if self.alive:
                raise  # a kernel without the file
        if not self.alive:  # what was read may be of a later process with the same id
            raise ProcessLookupError(ESRCH, f"{self!r} has ended")

    def children(self) -> list[Observed]:
        """Return its children (/proc/PID/task/TID/children), without those that end meanwhile. ProcessLookupError."""
        found = []
        with self._reading():
            for pid in children_of(self.pid):
                try:
                    found.append(Observed(pid))
                except ProcessLookupError:
                    continue
        return found

    def open_files(self) -> dict[int, str]:
        """Return its descriptors and what each refers to, as "/path" or "pipe:[4711]" (proc_pid_fd(5)). OSError."""
        found = {}
        with self._reading():
            for name in os.listdir(f"/proc/{self.pid}/fd"):
                try:
                    found[int(name)] = os.readlink(f"/proc/{self.pid}/fd/{name}")
                except FileNotFoundError:
                    continue  # closed meanwhile
        return dict(sorted(found.items()))

    def maps(self) -> list[MemoryMap]:
        """Return its mappings (proc_pid_maps(5)). OSError."""
        with self._reading(), io.open(f"/proc/{self.pid}/maps", errors="surrogateescape") as file:
            text = file.read()
        return [
            MemoryMap(int(start, 16), int(end, 16), perms, int(offset, 16), int(inode), path)
            for start, end, perms, offset, inode, path in _MAP.findall(text)
        ]

    def limits(self) -> dict[str, tuple[int | None, int | None]]:
        """Return its soft and hard resource limits by name, as in "Max open files".

        None is unlimited (proc_pid_limits(5)). OSError.
        """
        with self._reading(), io.open(f"/proc/{self.pid}/limits", errors="replace") as file:
            text = file.read()
        rows = re.findall(r"^(Max .*?) {2,}(\S+) +(\S+)", text, re.MULTILINE)
        return {name: (_limit(soft), _limit(hard)) for name, soft, hard in rows}

    def ipc_objects(self) -> IpcUse:
        """Return the System V objects that it has attached or used last, of this process's IPC namespace. OSError."""
        segments = {each.inode for each in self.maps() if each.path.startswith("/SYSV")}
        with self._reading():
            queues = {row.msqid for row in proc.sysvipc_msg() or () if self.pid in (row.lspid, row.lrpid)}
            sets = {row.semid for row in proc.sysvipc_sem() or () if self._used(row.semid, row.nsems)}
        return IpcUse(frozenset(segments), frozenset(sets), frozenset(queues))

    def _used(self, semid: int, count: int) -> bool:
        try:
            return any(semctl(semid, number, GETPID) == self.pid for number in range(count))
        except OSError:
            return False  # removed meanwhile, or unreadable for this user

    def _text(self, name: str) -> str:
        try:
            with io.open(f"/proc/{self.pid}/{name}", errors="replace") as file:
                return file.read()
        except OSError:
            return ""


def observe(pid: int) -> Observed:
    """Observe any process by its id *pid*. Raises ProcessLookupError if there is none."""
    return Observed(pid)


def wait_until(predicate: Callable[[], Value], *, timeout: Timeout = DEFAULT) -> Value:
    """Call *predicate* until it returns a true value, and return that. TimeoutError with the last value.

    An AssertionError counts as a false value, so that a predicate may consist of assertions.
    """
    __tracebackhide__ = True
    check_callable(predicate)
    last: list[Value] = []
    failure: AssertionError | None = None

    def holds() -> bool:
        nonlocal failure
        try:
            last[:] = [predicate()]
        except AssertionError as error:
            failure = error
            return False
        failure = None
        return bool(last[0])

    seconds = check_timeout(timeout)
    if not Deadline(seconds).until(holds):
        saw = f"the last failure was: {failure}" if failure is not None else f"the last value was {last[0]!r}"
        name = getattr(predicate, "__name__", repr(predicate))
        raise timed_out(seconds, f"{name}()", lambda: saw)
    return last[0]


def check_callable(predicate: object) -> None:
    """Raise TypeError if *predicate* cannot be called."""
    if not callable(predicate):
        raise TypeError(f"predicate must be a function without arguments, not {predicate!r}")


def _limit(text: str) -> int | None:
    return None if text == "unlimited" else int(text)

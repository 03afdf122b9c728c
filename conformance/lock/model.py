"""Models of file locks: ranges that split, merge and convert, owned in two ways, and whole files."""

from __future__ import annotations

import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc.kernel import F_OFD_SETLK, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, RecordLock, fcntl_setlk, flock

from ..model import Model
from ..specification import Call
from .specification import FlockSpec, RangeSpec

LENGTH = 8  # bytes that are locked in ranges; all later bytes count as one


def open_twice(path: str) -> tuple[int, int]:
    """Open the file twice, in a worker process."""
    return os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)


def close_and_open(path: str, fd: int) -> None:
    """Close a descriptor and open the file again with the same number, in a worker process."""
    os.close(fd)
    again = os.open(path, os.O_RDWR)
    if again != fd:
        os.dup2(again, fd)
        os.close(again)


def close_both(first: int, second: int) -> None:
    """Close both descriptors, in a worker process."""
    os.close(first)
    os.close(second)


class Ranges(Model):
    """Record locks, owned by processes: the locks of each byte, by the specification."""

    state: RangeSpec
    command = F_SETLK
    by_process = True

    def __init__(self, path: str, *workers: Any) -> None:
        super().__init__(*workers)
        self.path = path
        self.fds = {worker: worker.do(open_twice, path) for worker in self.workers}
        self.state = RangeSpec(self.by_process)

    @rule(
        worker=st.integers(0, 1),
        which=st.integers(0, 1),
        kind=st.sampled_from((F_RDLCK, F_WRLCK, F_UNLCK)),
        start=st.integers(0, LENGTH - 1),
        length=st.integers(0, LENGTH),
    )
    def lock(self, worker: int, which: int, kind: int, start: int, length: int) -> None:
        """Lock, convert or unlock a range; a length of 0 extends to the end."""
        who = self.workers[worker]
        length = min(length, LENGTH - start)
        self.follows(
            Call(str(who), "setlk", (which, kind, start, length or LENGTH + 1 - start)),
            who.call(fcntl_setlk, self.fds[who][which], self.command, RecordLock(kind, start, length)),
        )

    @rule(worker=st.integers(0, 1), which=st.integers(0, 1))
    def close(self, worker: int, which: int) -> None:
        """Close one of the two descriptors and open the file again."""
        who = self.workers[worker]
        self.follows(Call(str(who), "close", (which,)), who.call(close_and_open, self.path, self.fds[who][which]))

    @invariant()
    def the_kernel_refuses_what_the_model_does(self) -> None:
        """Compare which locks each byte permits to a process without locks."""
        fd = os.open(self.path, os.O_RDWR)
        try:
            self.sees(
                "which bytes are free, read-locked or write-locked",
                partial(standing, fd, self.command),
                lambda: "".join(self.stands(byte) for byte in range(LENGTH + 1)),
            )
        finally:
            os.close(fd)

    def stands(self, byte: int) -> str:
        """Return the lock of a byte: "-", "R" or "W"."""
        kinds = {kind for place, _, kind in self.state.locks if place == byte}
        return "W" if F_WRLCK in kinds else "R" if kinds else "-"

    def teardown(self) -> None:
        """Close all descriptors."""
        for worker, fds in self.fds.items():
            worker.do(close_both, *fds)
        super().teardown()


def standing(fd: int, command: int) -> str:
    """Return for each byte "-", "R" or "W": the lock that conflicts with one of this process and description."""
    found = ""
    for byte in range(LENGTH + 1):
        for kind, word in ((F_WRLCK, "-"), (F_RDLCK, "R")):
            try:
                fcntl_setlk(fd, command, RecordLock(kind, byte, 1))
            except BlockingIOError:
                continue
            fcntl_setlk(fd, command, RecordLock(F_UNLCK, byte, 1))
            found += word
            break
        else:
            found += "W"
    return found


class DescriptionRanges(Ranges):
    """The same locks owned by open file descriptions."""

    command = F_OFD_SETLK
    by_process = False


class WholeFile(Model):
    """flock(2): four open file descriptions in two processes, each with no lock, a shared or an exclusive one."""

    state: FlockSpec

    def __init__(self, path: str, *workers: Any) -> None:
        super().__init__(*workers)
        self.path = path
        self.fds = {worker: worker.do(open_twice, path) for worker in self.workers}
        self.state = FlockSpec()

    @rule(worker=st.integers(0, 1), which=st.integers(0, 1), operation=st.sampled_from((LOCK_SH, LOCK_EX, LOCK_UN)))
    def lock(self, worker: int, which: int, operation: int) -> None:
        """Lock, convert or unlock; a failed conversion loses the lock, as it is not atomic."""
        who, arguments = self.workers[worker], (which, operation | LOCK_NB)
        ((_, self.state),) = self.state.apply(Call(str(who), "releases", arguments))
        self.follows(Call(str(who), "acquires", arguments), who.call(flock, self.fds[who][which], arguments[1]))

    @rule(worker=st.integers(0, 1), which=st.integers(0, 1))
    def close(self, worker: int, which: int) -> None:
        """Close one of the descriptors and open the file again."""
        who = self.workers[worker]
        self.follows(Call(str(who), "close", (which,)), who.call(close_and_open, self.path, self.fds[who][which]))

    def teardown(self) -> None:
        """Close all descriptors."""
        for worker, fds in self.fds.items():
            worker.do(close_both, *fds)
        super().teardown()

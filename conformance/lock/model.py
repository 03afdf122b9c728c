"""File locks and models of them: ranges that split, merge and convert, two kinds of owner, and whole files (fcntl(2), flock(2))."""

from __future__ import annotations

import os
from errno import EAGAIN, EWOULDBLOCK
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc import F_OFD_SETLK, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, RecordLock, fcntl_setlk, flock

from ..model import Model, fails

LENGTH = 8  # bytes of the file that are locked in ranges; all behind them count as one more
WORDS = {F_RDLCK: "F_RDLCK", F_WRLCK: "F_WRLCK", F_UNLCK: "F_UNLCK"}
Owner = tuple[Any, int]


def open_twice(path: str) -> tuple[int, int]:
    """In a peer: two open file descriptions of the file."""
    return os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)


def close_and_open(path: str, fd: int) -> None:
    """In a peer: close a descriptor and have another one of the same number."""
    os.close(fd)
    again = os.open(path, os.O_RDWR)
    if again != fd:
        os.dup2(again, fd)
        os.close(again)


def close_both(first: int, second: int) -> None:
    """In a peer: let go."""
    os.close(first)
    os.close(second)


class Ranges(Model):
    """Who has locked which bytes: for each byte the kind of lock by owner, which is what all the algebra comes to."""

    command = F_SETLK

    def __init__(self, path: str, *peers: Any) -> None:
        super().__init__(*peers)
        self.path = path
        self.fds = {peer: peer.do(open_twice, path) for peer in self.peers}
        self.locks: list[dict[Owner, int]] = [{} for _ in range(LENGTH + 1)]

    def owner(self, peer: Any, which: int) -> Owner:
        """To whom a lock belongs: the process."""
        del which
        return peer, 0

    @rule(
        peer=st.integers(0, 1),
        which=st.integers(0, 1),
        kind=st.sampled_from((F_RDLCK, F_WRLCK, F_UNLCK)),
        start=st.integers(0, LENGTH - 1),
        length=st.integers(0, LENGTH),
    )
    def lock(self, peer: int, which: int, kind: int, start: int, length: int) -> None:
        """Lock, convert or unlock a range; a length of 0 reaches to the end."""
        who = self.peers[peer]
        mine = self.owner(who, which)
        length = min(length, LENGTH - start)

        def model() -> None:
            there = self.locks[start : start + length if length else None]
            for holders in there:
                for owner, held in holders.items():
                    if owner != mine and kind != F_UNLCK and F_WRLCK in (held, kind):
                        fails(EAGAIN)
            for holders in there:
                holders.pop(mine, None)
                if kind != F_UNLCK:
                    holders[mine] = kind

        wanted = RecordLock(kind, start, length)
        self.same(
            f"{who}{which + 1}: {WORDS[kind]} {start}+{length}",
            who.call(fcntl_setlk, self.fds[who][which], self.command, wanted),
            model,
        )

    @rule(peer=st.integers(0, 1), which=st.integers(0, 1))
    def close(self, peer: int, which: int) -> None:
        """Close one of the two descriptors, and open the file again."""
        who = self.peers[peer]
        gone = self.owner(who, which)

        def model() -> None:
            for holders in self.locks:
                holders.pop(gone, None)

        self.same(f"{who}{which + 1}: close", who.call(close_and_open, self.path, self.fds[who][which]), model)

    @invariant()
    def the_kernel_refuses_what_the_model_does(self) -> None:
        """Every byte, asked of by somebody who has no lock of their own: who could lock it for writing, who for reading."""
        me = os.open(self.path, os.O_RDWR)
        try:
            self.sees(
                "which bytes are free, read-locked or write-locked",
                partial(standing, me, self.command),
                lambda: "".join(
                    "W" if F_WRLCK in holders.values() else "R" if holders else "-" for holders in self.locks
                ),
            )
        finally:
            os.close(me)

    def teardown(self) -> None:
        """Let go of everything."""
        for peer, fds in self.fds.items():
            peer.do(close_both, *fds)
        super().teardown()


def standing(fd: int, command: int) -> str:
    """For each byte "-", "R" or "W": what stands against a lock of this process and description, which hold none."""
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
    """The same locks when they belong to open file descriptions."""

    command = F_OFD_SETLK

    def owner(self, peer: Any, which: int) -> Owner:
        """To whom a lock belongs: the open file description."""
        return peer, which


class WholeFile(Model):
    """flock(2): four open file descriptions in two processes, each with no lock, a shared or an exclusive one."""

    def __init__(self, path: str, *peers: Any) -> None:
        super().__init__(*peers)
        self.path = path
        self.fds = {peer: peer.do(open_twice, path) for peer in self.peers}
        self.held: dict[Owner, int] = {}

    @rule(peer=st.integers(0, 1), which=st.integers(0, 1), operation=st.sampled_from((LOCK_SH, LOCK_EX, LOCK_UN)))
    def lock(self, peer: int, which: int, operation: int) -> None:
        """Lock, convert or unlock. A conversion that cannot be made loses what was held: it is not atomic."""
        who = self.peers[peer]
        mine = who, which

        def model() -> None:
            before = self.held.pop(mine, None)
            if operation == LOCK_UN:
                return
            if before == operation:
                self.held[mine] = operation
                return
            if any(LOCK_EX in (held, operation) for held in self.held.values()):
                fails(EWOULDBLOCK)
            self.held[mine] = operation

        words = {LOCK_SH: "LOCK_SH", LOCK_EX: "LOCK_EX", LOCK_UN: "LOCK_UN"}
        self.same(
            f"{who}{which + 1}: {words[operation]}", who.call(flock, self.fds[who][which], operation | LOCK_NB), model
        )

    @rule(peer=st.integers(0, 1), which=st.integers(0, 1))
    def close(self, peer: int, which: int) -> None:
        """Close one of the descriptors, and open the file again."""
        who = self.peers[peer]
        self.held.pop((who, which), None)
        self.same(f"{who}{which + 1}: close", who.call(close_and_open, self.path, self.fds[who][which]), lambda: None)

    def teardown(self) -> None:
        """Let go of everything."""
        for peer, fds in self.fds.items():
            peer.do(close_both, *fds)
        super().teardown()

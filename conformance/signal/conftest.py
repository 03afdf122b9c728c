"""Fixtures of the signal and process clauses: plain children, a held handler, the first process of a PID namespace."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_ipc import Child, Need, Pipe, Signals, untested
from pytest_ipc.kernel import CLONE_NEWPID, CLONE_NEWUSER, PIPE_BUF, kill, unshare

from ..credentials import GROUP, OWNER
from .plain_child import PlainFork


@pytest.fixture
def fork(ipc_scope: Any) -> PlainFork:
    """Return a fork whose children start with default dispositions and an empty mask."""
    return PlainFork(ipc_scope.scope)


@pytest.fixture
def other_users(as_user: Callable[..., Any]) -> None:
    """Report untested unless a child may become another user here."""
    as_user(OWNER, GROUP, os.getpid)


@dataclass(frozen=True)
class Held:
    """A child whose signal handler has started and cannot return before release()."""

    process: Child[Any]
    gate: Pipe

    def receive(self, signo: int) -> None:
        """Send the child another signal and wait until it sleeps again, in the same handler or in one that interrupted
        it."""
        self.process.signal(signo)
        self.process.wait_blocked("write")

    def release(self) -> list[int]:
        """Let the child finish; return the signals whose handlers ran, in the order in which the handlers returned."""
        handled = []
        while data := self.gate.read(timeout=None):
            handled += [byte for byte in data if byte]
        return handled


@pytest.fixture
def held(fork: PlainFork, pipe: Callable[..., Pipe], signals: Signals) -> Callable[..., Held]:
    """Hold a child in its handler: held(signo, flags=0, mask=(), also=()). It also catches the signals in *also*.

    CPython's C handler writes the signal's number to the wakeup descriptor. Here that is a full blocking pipe, so the
    handler returns only after a read.
    """

    def start(signo: int, flags: int = 0, mask: Iterable[int] = (), also: Iterable[int] = ()) -> Held:
        gate = pipe()

        def life() -> frozenset[int]:
            for other in also:
                signals.catch(other)
            signals.catch(signo, flags=flags, mask=mask)
            os.set_blocking(gate.write_fd, False)
            with suppress(BlockingIOError):
                while True:
                    os.write(gate.write_fd, bytes(PIPE_BUF))
            signal.set_wakeup_fd(gate.write_fd, warn_on_full_buffer=False)
            os.set_blocking(gate.write_fd, True)
            kill(os.getpid(), signo)
            return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

        child = fork(life)
        gate.close_write()
        child.wait_blocked("write")
        return Held(child, gate)

    return start


@pytest.fixture
def as_init(fork: PlainFork) -> Callable[[Callable[[], Any]], Any]:
    """Run a function as process 1 of a new PID namespace and return its result: as_init(function)."""

    def run(function: Callable[[], Any]) -> Any:
        def first() -> Any:
            if os.getpid() != 1:
                untested(
                    Need.PID_NAMESPACES, "needs a PID namespace: this one was entered, and its first process is not 1"
                )
            return function()

        def life() -> Any:
            try:
                unshare(CLONE_NEWPID)
            except OSError:
                try:
                    unshare(CLONE_NEWUSER | CLONE_NEWPID)
                except OSError as error:
                    untested(
                        Need.PID_NAMESPACES,
                        f"needs a PID namespace: CAP_SYS_ADMIN, or user namespaces: {error.strerror}",
                    )
            with Child.start(first) as init:
                return init.result()

        return fork(life).result()

    return run

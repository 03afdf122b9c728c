"""Pending signals and a model of them: a process that blocks some, another that sends, and what is taken in which order (signal(7))."""

from __future__ import annotations

import signal
from collections import deque
from errno import EAGAIN
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc.kernel import SI_QUEUE, SI_USER, kill, sigpending, sigqueue, sigtimedwait
from pytest_ipc.kernel.signals import sigprocmask

from ..model import Model, fails

STANDARD = {signal.SIGUSR1: "SIGUSR1", signal.SIGUSR2: "SIGUSR2", signal.SIGWINCH: "SIGWINCH"}
REAL_TIME = {signal.SIGRTMIN + n: f"SIGRTMIN+{n}" for n in (1, 2, 5)}
NAMES = {int(signo): name for signo, name in (STANDARD | REAL_TIME).items()}
SIGNALS = st.sampled_from(sorted(NAMES))


def block() -> None:
    """In a peer: block all of them, for good."""
    sigprocmask(signal.SIG_BLOCK, NAMES)


def ignore(signo: int, ignored: bool) -> None:
    """In a peer: ignore a signal, or not. None of the standard ones here does anything by default that would show."""
    signal.signal(signo, signal.SIG_IGN if ignored else signal.SIG_DFL)


def take(signals: list[int]) -> tuple[str, int, int]:
    """In a peer: take the next of the pending signals, with its code and, if it was queued, its value."""
    info = sigtimedwait(signals, 0)
    return NAMES[info.signo], info.code, info.value if info.code == SI_QUEUE else 0


def pending() -> list[str]:
    """In a peer: the names of what is pending."""
    return sorted(NAMES[signo] for signo in sigpending() if signo in NAMES)


class Pending(Model):
    """One process; a standard signal pends once, real-time signals queue."""

    def __init__(self, *peers: Any) -> None:
        super().__init__(*peers)
        (self.peer,) = peers
        self.queues: dict[int, deque[tuple[int, int]]] = {signo: deque() for signo in NAMES}

    def arrives(self, signo: int, code: int, value: int) -> None:
        """A signal is sent, by the model."""
        queue = self.queues[signo]
        if signo in REAL_TIME or not queue:
            queue.append((code, value))

    @rule(signo=SIGNALS)
    def kill(self, signo: int) -> None:
        """Send with kill(2)."""
        self.same(
            f"kill({NAMES[signo]})", partial(kill, self.peer.actor.pid, signo), partial(self.arrives, signo, SI_USER, 0)
        )

    @rule(signo=SIGNALS, value=st.integers(0, 3))
    def queue(self, signo: int, value: int) -> None:
        """Send with sigqueue(3)."""
        self.same(
            f"sigqueue({NAMES[signo]}, {value})",
            partial(sigqueue, self.peer.actor.pid, signo, value),
            partial(self.arrives, signo, SI_QUEUE, value),
        )

    @rule(signals=st.sets(SIGNALS, min_size=1))
    def take(self, signals: set[int]) -> None:
        """Take the next one: the lowest number first, and of one number the one that was sent first."""

        def model() -> tuple[str, int, int]:
            first = next((signo for signo in sorted(signals) if self.queues[signo]), None)
            if first is None:
                fails(EAGAIN)
            return NAMES[first], *self.queues[first].popleft()

        names = ", ".join(NAMES[signo] for signo in sorted(signals))
        self.same(f"sigtimedwait({{{names}}}, 0)", self.peer.call(take, sorted(signals)), model)

    @rule(signo=SIGNALS)
    def throw_away(self, signo: int) -> None:
        """Ignore a signal and stop ignoring it: what pends of it is gone, blocked or not."""

        def kernel() -> None:
            self.peer.do(ignore, signo, True)
            self.peer.do(ignore, signo, False)

        self.same(f"ignore {NAMES[signo]}, and no longer", kernel, self.queues[signo].clear)

    @invariant()
    def what_pends_is_told(self) -> None:
        """sigpending(2)."""
        self.sees(
            "sigpending()",
            self.peer.call(pending),
            lambda: sorted(NAMES[signo] for signo in NAMES if self.queues[signo]),
        )

    def teardown(self) -> None:
        """Nothing may pend for the next history."""
        for signo in NAMES:
            self.peer.do(ignore, signo, True)
            self.peer.do(ignore, signo, False)
        super().teardown()

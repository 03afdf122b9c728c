"""Model of pending signals: a process that blocks signals, another that sends, and the order of delivery
(signal(7))."""

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
    """In a worker process: block all the signals for good."""
    sigprocmask(signal.SIG_BLOCK, NAMES)


def ignore(signo: int, ignored: bool) -> None:
    """In a worker process: ignore a signal, or restore its default, which has no effect for these standard signals."""
    signal.signal(signo, signal.SIG_IGN if ignored else signal.SIG_DFL)


def take(signals: list[int]) -> tuple[str, int, int]:
    """In a worker process: take the next pending signal; return its name, code and, if it was queued, value."""
    info = sigtimedwait(signals, 0)
    return NAMES[info.signo], info.code, info.value if info.code == SI_QUEUE else 0


def pending() -> list[str]:
    """In a worker process: return the names of the pending signals."""
    return sorted(NAMES[signo] for signo in sigpending() if signo in NAMES)


class Pending(Model):
    """One process; a standard signal pends once, real-time signals queue."""

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        (self.worker,) = workers
        self.queues: dict[int, deque[tuple[int, int]]] = {signo: deque() for signo in NAMES}

    def arrives(self, signo: int, code: int, value: int) -> None:
        """Make a signal pending in the model."""
        queue = self.queues[signo]
        if signo in REAL_TIME or not queue:
            queue.append((code, value))

    @rule(signo=SIGNALS)
    def kill(self, signo: int) -> None:
        """Send with kill(2)."""
        self.same(
            f"kill({NAMES[signo]})",
            partial(kill, self.worker.child.pid, signo),
            partial(self.arrives, signo, SI_USER, 0),
        )

    @rule(signo=SIGNALS, value=st.integers(0, 3))
    def queue(self, signo: int, value: int) -> None:
        """Send with sigqueue(3)."""
        self.same(
            f"sigqueue({NAMES[signo]}, {value})",
            partial(sigqueue, self.worker.child.pid, signo, value),
            partial(self.arrives, signo, SI_QUEUE, value),
        )

    @rule(signals=st.sets(SIGNALS, min_size=1))
    def take(self, signals: set[int]) -> None:
        """Take the next signal: the lowest number first, and of one number the oldest first."""

        def model() -> tuple[str, int, int]:
            first = next((signo for signo in sorted(signals) if self.queues[signo]), None)
            if first is None:
                fails(EAGAIN)
            return NAMES[first], *self.queues[first].popleft()

        names = ", ".join(NAMES[signo] for signo in sorted(signals))
        self.same(f"sigtimedwait({{{names}}}, 0)", self.worker.call(take, sorted(signals)), model)

    @rule(signo=SIGNALS)
    def discard(self, signo: int) -> None:
        """Ignore a signal and stop ignoring it: this discards its pending instances, blocked or not."""

        def kernel() -> None:
            self.worker.do(ignore, signo, True)
            self.worker.do(ignore, signo, False)

        self.same(f"ignore {NAMES[signo]}, and no longer", kernel, self.queues[signo].clear)

    @invariant()
    def pending_signals_agree(self) -> None:
        """Compare sigpending(2)."""
        self.sees(
            "sigpending()",
            self.worker.call(pending),
            lambda: sorted(NAMES[signo] for signo in NAMES if self.queues[signo]),
        )

    def teardown(self) -> None:
        """Discard all pending signals before the next history."""
        for signo in NAMES:
            self.worker.do(ignore, signo, True)
            self.worker.do(ignore, signo, False)
        super().teardown()

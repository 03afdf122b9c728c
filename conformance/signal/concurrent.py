"""Pending signals under concurrency: several workers send and take them, in processes and among threads."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import kill, sigpending, sigqueue, sigtimedwait, sigwaitinfo

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Here, Workload
from .specification import PendingSpec

NUMBERS = {0: signal.SIGUSR2, **{number: signal.SIGRTMIN + number for number in (4, 5)}}
OF = {int(signo): number for number, signo in NUMBERS.items()}
Pids = tuple[int, ...]


class Pending(Workload):
    """Blocked signals: a standard one and two real-time signals."""

    layouts = ((1, 1, 1), (2, 1), (3, 1))
    sleeping = (("take", "sigwaitinfo"),)

    def make(self, ipc: Ipc) -> None:
        return None

    def specification(self, shared: None, history: History) -> PendingSpec:
        return PendingSpec(tuple(process for _, process in history.crew))

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        targets = random.choice(((0,), (0, 0, workers - 1)))
        numbers = random.choice(((4,), (4, 5), (0, 4, 5), (0,)))
        waiting, sending = random.choice((0.0, 0.2, 0.6)), random.uniform(0.4, 0.6)
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                target, which = random.choice(targets), random.choice(numbers)
                if random.random() < sending or (worker not in targets and random.random() < 0.7):
                    acts.append(
                        Act("queue", (target, which, 10 * worker + number)) if which else Act("kill", (target,))
                    )
                elif random.random() < 0.1:
                    acts.append(Act("shown"))
                else:
                    acts.append(Act("take", (worker, numbers, random.random() < waiting)))
            yield acts

    def enter(self, here: Here) -> Pids:
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS.values())
        return here.pids

    def leave(self, mine: Pids) -> None:
        with suppress(BlockingIOError):
            for _ in range(100):  # bounded, in case the kernel under test never runs out of signals
                sigtimedwait(NUMBERS.values(), 0)

    def queue(self, pids: Pids, target: int, number: int, value: int) -> None:
        sigqueue(pids[target], NUMBERS[number], value)

    def kill(self, pids: Pids, target: int) -> None:
        kill(pids[target], NUMBERS[0])

    def take(self, pids: Pids, worker: int, numbers: tuple[int, ...], wait: bool) -> tuple[int, int]:
        wanted = [NUMBERS[number] for number in numbers]
        info = sigwaitinfo(wanted) if wait else sigtimedwait(wanted, 0)
        return OF[info.signo], info.value

    def shown(self, pids: Pids) -> tuple[int, ...]:
        return tuple(sorted(OF[signo] for signo in sigpending() if signo in OF))

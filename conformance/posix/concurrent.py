"""POSIX message queues, semaphores and names under concurrency."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

from pytest_ipc import Ipc
from pytest_ipc.kernel import (
    SIGEV_SIGNAL,
    Timespec,
    close,
    mq_close,
    mq_getattr,
    mq_notify,
    mq_open,
    mq_receive,
    mq_send,
    mq_timedreceive,
    mq_timedsend,
    sem_close,
    sem_getvalue,
    sem_open,
    sem_post,
    sem_timedwait,
    sem_trywait,
    sem_wait,
    shm_open,
    shm_unlink,
    sigtimedwait,
)

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Here, Workload
from .specification import NameSpec, PosixQueueSpec, PosixSemaphoreSpec

MAXMSG, MSGSIZE = 2, 8
SHORT = 0.0003  # seconds
NOTICE = signal.SIGRTMIN + 3


class Ends(NamedTuple):
    """A queue opened twice: once blocking and once with O_NONBLOCK."""

    blocking: int
    nonblocking: int


class PosixQueue(Workload):
    """One queue with a capacity of two messages."""

    sleeping = (
        ("mq_send", "mq_send"),
        ("mq_receive", "mq_receive"),
        ("mq_timedsend", "mq_send"),
        ("mq_timedreceive", "mq_receive"),
    )
    limited = (
        "mq_timedsend",
        "mq_timedreceive",
    )

    def make(self, ipc: Ipc) -> str:
        return ipc.posix_mq(maxmsg=MAXMSG, msgsize=MSGSIZE).name

    def specification(self, shared: str, history: History) -> PosixQueueSpec:
        return PosixQueueSpec(MAXMSG, MSGSIZE)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        blocking, limited = random.choice((0.0, 0.2, 0.5)), random.choice((0.0, 0.0, 0.7))
        sending, priorities = random.uniform(0.35, 0.6), random.sample((0, 1, 2), random.randint(1, 2))
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                wait = random.random() < blocking
                timed = wait and random.random() < limited
                if random.random() < sending:
                    message = f"{chr(97 + worker)}{number}".encode(), random.choice(priorities)
                    acts.append(Act("mq_timedsend", (*message, SHORT)) if timed else Act("mq_send", (*message, wait)))
                elif random.random() < 0.9:
                    acts.append(Act("mq_timedreceive", (SHORT,)) if timed else Act("mq_receive", (wait,)))
                else:
                    acts.append(Act("mq_getattr"))
            yield acts

    def closing(self, shared: str) -> tuple[Act, ...]:
        return (Act("drain"),)

    def enter(self, here: Here) -> Ends:
        signal.pthread_sigmask(signal.SIG_BLOCK, {NOTICE})
        return Ends(mq_open(here.shared, os.O_RDWR), mq_open(here.shared, os.O_RDWR | os.O_NONBLOCK))

    def leave(self, mine: Ends) -> None:
        for fd in mine:
            mq_close(fd)
        with suppress(BlockingIOError):
            for _ in range(100):  # a faulty kernel may never return EAGAIN
                sigtimedwait({NOTICE}, 0)

    def mq_send(self, mine: Ends, text: bytes, priority: int, wait: bool) -> None:
        mq_send(mine.blocking if wait else mine.nonblocking, text, priority)

    def mq_receive(self, mine: Ends, wait: bool) -> tuple[bytes, int]:
        return mq_receive(mine.blocking if wait else mine.nonblocking, MSGSIZE)

    def mq_timedsend(self, mine: Ends, text: bytes, priority: int, seconds: float) -> None:
        mq_timedsend(mine.blocking, text, priority, Timespec.ahead(seconds, time.CLOCK_REALTIME))

    def mq_timedreceive(self, mine: Ends, seconds: float) -> tuple[bytes, int]:
        return mq_timedreceive(mine.blocking, MSGSIZE, Timespec.ahead(seconds, time.CLOCK_REALTIME))

    def mq_getattr(self, mine: Ends) -> int:
        return mq_getattr(mine.nonblocking).curmsgs

    def drain(self, name: str) -> tuple[Any, ...]:
        """Receive all messages, in the controlling process."""
        fd = mq_open(name, os.O_RDWR | os.O_NONBLOCK)
        taken = []
        with suppress(BlockingIOError):
            while True:
                taken.append(mq_receive(fd, MSGSIZE))
        mq_close(fd)
        return tuple(taken)


class Notified(PosixQueue):
    """The same with processes that register for notification, receive it, and are killed; none blocks on the queue."""

    layouts = ((1, 1, 1), (2, 1))
    kills = 0.1

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                kind = random.random()
                if kind < 0.3:
                    acts.append(Act("mq_send", (f"{chr(97 + worker)}{number}".encode(), 0, False)))
                elif kind < 0.6:
                    acts.append(Act("mq_receive", (False,)))
                elif kind < 0.8:
                    acts.append(Act("mq_notify", (10 * worker + number,)))
                elif kind < 0.85:
                    acts.append(Act("cancel"))
                else:
                    acts.append(Act("noticed"))
            yield [*acts, Act("noticed")]

    def mq_notify(self, mine: Ends, value: int) -> None:
        mq_notify(mine.nonblocking, SIGEV_SIGNAL, NOTICE, value)

    def cancel(self, mine: Ends) -> None:
        mq_notify(mine.nonblocking, None)

    def noticed(self, mine: Ends) -> int:
        return sigtimedwait({NOTICE}, 0).value


class PosixSemaphore(Workload):
    """A named semaphore with an initial value of 1."""

    sleeping = (("sem_wait", "futex"), ("sem_timedwait", "futex"))
    limited = ("sem_timedwait",)

    def make(self, ipc: Ipc) -> str:
        return str(ipc.posix_sem(1).name)

    def specification(self, shared: str, history: History) -> PosixSemaphoreSpec:
        return PosixSemaphoreSpec(1)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        names = random.choice(
            (
                ("sem_post", "sem_trywait"),
                ("sem_post", "sem_trywait", "sem_trywait", "sem_getvalue"),
                ("sem_post", "sem_wait"),
                ("sem_post", "sem_wait", "sem_trywait"),
                ("sem_post", "sem_timedwait", "sem_wait"),
            )
        )
        for _ in range(workers):
            chosen = random.choices(names, k=self.calls)
            yield [Act(name, (SHORT,) if name == "sem_timedwait" else ()) for name in chosen]

    def closing(self, shared: str) -> tuple[Act, ...]:
        return (Act("sem_getvalue"),)

    def enter(self, here: Here) -> int:
        return sem_open(here.shared, 0)

    def leave(self, mine: int) -> None:
        sem_close(mine)

    def sem_post(self, sem: int) -> None:
        sem_post(sem)

    def sem_wait(self, sem: int) -> None:
        sem_wait(sem)

    def sem_trywait(self, sem: int) -> None:
        sem_trywait(sem)

    def sem_timedwait(self, sem: int, seconds: float) -> None:
        sem_timedwait(sem, Timespec.ahead(seconds, time.CLOCK_REALTIME))

    def sem_getvalue(self, sem: int | str) -> int:
        if isinstance(sem, int):
            return sem_getvalue(sem)
        opened = sem_open(sem, 0)
        try:
            return sem_getvalue(opened)
        finally:
            sem_close(opened)


class Names(Workload):
    """A name of shared memory that all workers create, open and unlink."""

    def make(self, ipc: Ipc) -> str:
        return ipc.posix_shm(1).name

    def specification(self, shared: str, history: History) -> NameSpec:
        return NameSpec(True)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        kinds = random.choice(
            (
                (Act("create", (True,)), Act("unlink")),
                (Act("create", (True,)), Act("unlink"), Act("unlink")),
                (Act("create", (True,)), Act("create", (False,)), Act("find"), Act("unlink")),
            )
        )
        for _ in range(workers):
            yield random.choices(kinds, k=self.calls)

    def closing(self, shared: str) -> tuple[Act, ...]:
        return (Act("find"), Act("unlink"))

    def create(self, name: str, exclusive: bool) -> None:
        close(shm_open(name, os.O_RDWR | os.O_CREAT | (os.O_EXCL if exclusive else 0), 0o600))

    def find(self, name: str) -> None:
        close(shm_open(name, os.O_RDWR))

    def unlink(self, name: str) -> None:
        shm_unlink(name)

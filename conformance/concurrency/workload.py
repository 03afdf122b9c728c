"""Workloads: the calls that workers make on one object at once, and the specification of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from pytest_ipc import Ipc

from ..specification import Call, Specification
from .history import History
from .plan import Act

__all__ = ["Budget", "Here", "Workload"]


@dataclass(frozen=True)
class Budget:
    """When a campaign ends without a finding: after so many histories, which take some tenths of a second, or after *seconds*.

    On a loaded machine the histories take longer, and find as much.
    """

    histories: int = 250
    seconds: float = 15.0
    shrinking: float = 4.0  # seconds for making a found history shorter
    attempts: int = 40  # at each smaller plan: what shows under concurrency does not show every time


@dataclass(frozen=True)
class Here:
    """What a worker knows: the object, its own number, copies of the descriptors, the processes of all workers."""

    shared: Any
    worker: int
    fds: tuple[int, ...]
    pids: tuple[int, ...]


class Workload:
    """Base class. A call is a method here, which makes it, and a method of the same name of the specification.

    The method gets what `enter` returned and the call's arguments; both it and the object that `make` returns consist of
    numbers, bytes, text, None and tuples of these.
    """

    budget = Budget()
    # The number of threads in each process; histories take turns.
    layouts: tuple[tuple[int, ...], ...] = ((1, 1, 1), (1, 1, 1, 1), (2, 1))
    calls = 6  # of each worker in one history
    endings: tuple[str, ...] = ("",)  # see Plan
    # Calls that may sleep, each with the name of the system call that the kernel says it sleeps in.
    sleeping: tuple[tuple[str, str], ...] = ()
    limited: tuple[str, ...] = ()  # those of them that have a time limit, and end by themselves
    interruptible = True  # a signal makes a sleeping call fail with EINTR
    kills = 0.0  # the share of histories in which a worker is killed
    provocations: tuple[str, ...] = ("signal", "signal", "stop", "yield")  # what workers do to one another
    # Calls with several points of effect, as in `History.phases`.
    phases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    object_of: Callable[[Call], Hashable] | None = None

    @property
    def name(self) -> str:
        """What findings are kept under."""
        return f"{type(self).__module__.removeprefix('pytest_ipc_')}.{type(self).__qualname__}"

    def make(self, ipc: Ipc) -> Any:
        """Make the object of one history; `ipc` ends it afterwards."""
        raise NotImplementedError

    def unmake(self, shared: Any) -> None:
        """After a history, whatever came of it: remove what `make` has made outside the scope."""

    def finish(self) -> None:
        """After the last history: the same for what all of them have used."""

    def specification(self, shared: Any, history: History) -> Specification:
        """Return the state of the object, or of each, before the first call. Of *history* it may use what only the kernel chooses, as ids."""
        raise NotImplementedError

    def programs(self, random: Random, workers: int) -> Iterable[Iterable[Act]]:
        """Return the calls of each worker.

        A plan should have few kinds of calls and arguments, another one others: then more calls concern one another.
        """
        raise NotImplementedError

    def descriptors(self, shared: Any) -> tuple[int, ...]:
        """Return the descriptors of which each worker is handed copies."""
        return ()

    def enter(self, here: Here) -> Any:
        """In a worker, before its first call: return what its calls are made on."""
        return here.shared

    def leave(self, mine: Any) -> None:
        """In a worker that lives on, when the history is over: give back what `enter` took."""

    def closing(self, shared: Any) -> tuple[Act, ...]:
        """Return the calls made when all workers have come to their end, which show what they have left."""
        return ()

    def waking(self, shared: Any) -> Act:
        """Return the call that lets those come back who sleep in others: by removing the object ("remove"), or else ("wake")."""
        raise NotImplementedError

"""Workloads: the concurrent calls on one object, and its specification."""

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
    """The budget of a campaign: a number of histories, some tenths of a second each, or a number of seconds.

    On a loaded machine the histories take longer, and find as much.
    """

    histories: int = 250
    seconds: float = 15.0
    shrinking: float = 4.0  # seconds for shrinking a finding
    attempts: int = 40  # at each smaller plan, as a deviation need not occur every time


@dataclass(frozen=True)
class Here:
    """The context of a worker: the object, its own number, copies of the descriptors, the processes of all workers."""

    shared: Any
    worker: int
    fds: tuple[int, ...]
    pids: tuple[int, ...]


class Workload:
    """Base class. A call is a method here, which makes it, and a method of the same name in the specification.

    The method gets the return value of `enter` and the arguments; both the arguments and the object that `make` returns
    consist of numbers, bytes, text, None and tuples of these.
    """

    budget = Budget()
    # The number of threads in each process; histories take turns.
    layouts: tuple[tuple[int, ...], ...] = ((1, 1, 1), (1, 1, 1, 1), (2, 1))
    calls = 6  # of each worker in one history
    endings: tuple[str, ...] = ("",)  # see Plan
    # Calls that may sleep, each with the system call that the kernel shows.
    sleeping: tuple[tuple[str, str], ...] = ()
    limited: tuple[str, ...] = ()  # those of them with a timeout
    interruptible = True  # a signal makes a sleeping call fail with EINTR
    kills = 0.0  # the share of histories in which a worker is killed
    provocations: tuple[str, ...] = ("signal", "signal", "stop", "yield")  # what workers do to one another
    # Calls with several points of effect, as in `History.phases`.
    phases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    object_of: Callable[[Call], Hashable] | None = None
    identifiers: tuple[str, ...] = ()  # calls that return an identifier, which the kernel chooses

    @property
    def name(self) -> str:
        """The key of findings in the database."""
        return f"{type(self).__module__.removeprefix('pytest_ipc_')}.{type(self).__qualname__}"

    @property
    def short_name(self) -> str:
        """The mechanism and the name of the class, by which a reproducer finds the calls as source."""
        return f"{type(self).__module__.split('.')[-2]}.{type(self).__qualname__}"

    def parameters(self, shared: Any) -> dict[str, int]:
        """Return in what the object of a history differs from those of others."""
        return {}

    def make(self, ipc: Ipc) -> Any:
        """Create the object of one history; `ipc` removes it afterwards."""
        raise NotImplementedError

    def unmake(self, shared: Any) -> None:
        """Remove, after a history with any outcome, what `make` has created outside the scope."""

    def finish(self) -> None:
        """Remove, after the last history, what all of them have used."""

    def specification(self, shared: Any, history: History) -> Specification:
        """Return the initial state of the object; *history* may supply only values chosen by the kernel, as ids."""
        raise NotImplementedError

    def programs(self, random: Random, workers: int) -> Iterable[Iterable[Act]]:
        """Return the calls of each worker.

        A plan should have few kinds of calls and arguments, so that more calls interact; other plans have others.
        """
        raise NotImplementedError

    def descriptors(self, shared: Any) -> tuple[int, ...]:
        """Return the descriptors of which each worker receives copies."""
        return ()

    def enter(self, here: Here) -> Any:
        """Return the object of the calls of a worker, in the worker, before its first call."""
        return here.shared

    def leave(self, mine: Any) -> None:
        """Release, in a living worker after the history, the objects that `enter` acquired."""

    def closing(self, shared: Any) -> tuple[Act, ...]:
        """Return the calls made after all workers have finished, which show the final state."""
        return ()

    def waking(self, shared: Any) -> Act:
        """Return the call that wakes sleeping calls: by removing the object ("remove"), or otherwise ("wake")."""
        raise NotImplementedError

"""Sequential specification of eventfd(2) and futex(2): a counter, and the waiters at a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from errno import EAGAIN, EINTR, EINVAL, ETIMEDOUT
from itertools import combinations
from types import MappingProxyType
from typing import ClassVar, Self

from pytest_ipc.kernel import EVENTFD_MAX

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["CounterSpec", "FutexSpec"]


@dataclass(frozen=True)
class CounterSpec(Specification):
    """An eventfd, blocking or nonblocking, which reads as a counter or as a semaphore."""

    semaphore: bool
    nonblock: bool
    value: int = 0

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "write", (value,):
                return f"write({value if value < EVENTFD_MAX else '0xfffffffffffffffe'})"
            case "readable", _:
                return "poll(POLLIN, 0 s)"
        return str(call)

    def write(self, process: str, value: int) -> Iterable[tuple[Outcome, Self]]:
        """eventfd(2): add to the counter unless it would exceed its maximum."""
        if value > EVENTFD_MAX:
            return self.fails(EINVAL)
        if self.value + value > EVENTFD_MAX:
            return self.fails(EAGAIN) if self.nonblock else self.waits()
        return self.gives(None, replace(self, value=self.value + value))

    def read(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """eventfd(2): return the whole counter, or 1 from a semaphore."""
        if not self.value:
            return self.fails(EAGAIN) if self.nonblock else self.waits()
        taken = 1 if self.semaphore else self.value
        return self.gives(taken, replace(self, value=self.value - taken))

    def readable(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """poll(2): return whether a read would not wait."""
        return self.gives(self.value > 0)


Waiter = tuple[str, int, int]  # process, number of the worker in it, number of the call


@dataclass(frozen=True)
class FutexSpec(Specification):
    """Two words, 0 and 1, and their waiters. A wait has two points: it is refused or begins, and it ends."""

    words_: tuple[int, int] = (0, 0)
    waiting: frozenset[tuple[int, Waiter]] = frozenset()  # with the word
    refused: frozenset[Waiter] = frozenset()
    woken: frozenset[Waiter] = frozenset()

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"timed_ends": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "wait", (_, _, word, expected):
                return f"futex({word}, FUTEX_WAIT, {expected})"
            case "timed", (_, _, word, expected, seconds):
                return f"futex({word}, FUTEX_WAIT, {expected}, {seconds * 1000:g} ms)"
            case "wake", (word, most):
                return f"futex({word}, FUTEX_WAKE, {most})"
            case "requeue", (wake, move, expected):
                return f"futex(0, FUTEX_CMP_REQUEUE, {wake}, {move}, 1, {expected})"
            case "publish", (word, value, most):
                return f"word {word} = {value}; futex({word}, FUTEX_WAKE, {most})"
            case "set", (word, value):
                return f"word {word} = {value}"
        return str(call)

    def set(self, process: str, word: int, value: int) -> Iterable[tuple[Outcome, Self]]:
        """A store; it wakes no waiter."""
        words = (value, self.words_[1]) if word == 0 else (self.words_[0], value)
        return self.gives(None, replace(self, words_=words))

    def begins(
        self, process: str, worker: int, number: int, word: int, expected: int, *_: float
    ) -> Iterable[tuple[Outcome, Self]]:
        """FUTEX_WAIT: compare the word and begin to wait, in one step."""
        waiter = process, worker, number
        if self.words_[word] != expected:
            return self.gives(None, replace(self, refused=self.refused | {waiter}))
        return self.gives(None, replace(self, waiting=self.waiting | {(word, waiter)}))

    def wait_ends(
        self, process: str, worker: int, number: int, word: int, expected: int, *_: float
    ) -> Iterable[tuple[Outcome, Self]]:
        """FUTEX_WAIT: EAGAIN if the word differed, 0 if and only if woken, EINTR after a signal."""
        waiter = process, worker, number
        if waiter in self.refused:
            return ((Fails(EAGAIN), replace(self, refused=self.refused - {waiter})),)
        if waiter in self.woken:
            return self.gives(None, replace(self, woken=self.woken - {waiter}))
        return self.waits()

    def timed_ends(
        self, process: str, worker: int, number: int, word: int, expected: int, seconds: float
    ) -> Iterable[tuple[Outcome, Self]]:
        """The same with a time limit."""
        ended = [*self.wait_ends(process, worker, number, word, expected)]
        return ended or ((Fails(ETIMEDOUT), self._without(process, worker, number)),)

    def apply(self, call: Call) -> Iterable[tuple[Outcome, Self]]:
        """Return what the call may give. A wait that was not woken may be interrupted."""
        found = [*super().apply(call)]
        if call.name in ("wait_ends", "timed_ends"):
            process, (worker, number, *_) = call.process, call.arguments
            if any(waiter == (process, worker, number) for _, waiter in self.waiting):
                found.append((Fails(EINTR), self._without(process, worker, number)))
        return found

    def sleeps(self, call: Call) -> bool:
        """Return whether the wait was neither refused nor woken."""
        worker, number = call.arguments[:2]
        return (call.process, worker, number) not in self.refused | self.woken

    def wake(self, process: str, word: int, most: int) -> Iterable[tuple[Outcome, Self]]:
        """FUTEX_WAKE: wake up to *most* waiters, in any order; return their number."""
        there = sorted(entry for entry in self.waiting if entry[0] == word)
        for some in combinations(there, min(most, len(there))):
            yield Gives(len(some)), self._woken(some)

    def publishes(self, process: str, word: int, value: int, most: int) -> Iterable[tuple[Outcome, Self]]:
        """A store, before FUTEX_WAKE."""
        return self.set(process, word, value)

    def wakes(self, process: str, word: int, value: int, most: int) -> Iterable[tuple[Outcome, Self]]:
        """FUTEX_WAKE after the store."""
        return self.wake(process, word, most)

    def requeue(self, process: str, wake: int, move: int, expected: int) -> Iterable[tuple[Outcome, Self]]:
        """FUTEX_CMP_REQUEUE from word 0 to word 1: wake some waiters, move others; EAGAIN if the word differs."""
        if self.words_[0] != expected:
            yield Fails(EAGAIN), self
            return
        there = sorted(entry for entry in self.waiting if entry[0] == 0)
        for some in combinations(there, min(wake, len(there))):
            rest = [entry for entry in there if entry not in some]
            for moved in combinations(rest, min(move, len(rest))):
                after = self._woken(some)
                waiting = (after.waiting - {*moved}) | {(1, waiter) for _, waiter in moved}
                yield Gives(len(some) + len(moved)), replace(after, waiting=waiting)

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """A process that ends no longer waits."""
        waiting = frozenset(entry for entry in self.waiting if entry[1][0] != process)
        return self.gives(None, replace(self, waiting=waiting))

    def _woken(self, some: Iterable[tuple[int, Waiter]]) -> Self:
        return replace(self, waiting=self.waiting - {*some}, woken=self.woken | {waiter for _, waiter in some})

    def _without(self, process: str, worker: int, number: int) -> Self:
        waiter = process, worker, number
        return replace(self, waiting=frozenset(entry for entry in self.waiting if entry[1] != waiter))

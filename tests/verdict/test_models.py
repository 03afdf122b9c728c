"""A difference between model and kernel becomes the shortest history, as readable calls."""

from __future__ import annotations

import os
from errno import EAGAIN, ENOSYS
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from conformance.model import Model, agree, fails
from conformance.workers import Worker
from pytest_ipc import ChildDied, Deviation
from pytest_ipc.verdict.judge.time_limit import TimeUp, TooSlow


class Queue(Model):
    """A queue of numbers whose kernel is a list with an injected fault."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel: list[int] = []
        self.model: list[int] = []

    @rule(number=st.integers(0, 9))
    def send(self, number):
        self.same(f"send({number})", lambda: self.kernel.append(number), lambda: self.model.append(number))

    @rule()
    def receive(self):
        self.same("receive()", self.take, lambda: self.model.pop(0) if self.model else fails(EAGAIN))

    def take(self) -> int:
        return self.kernel.pop(0) if self.kernel else fails(EAGAIN)


class LastInFirstOut(Queue):
    def take(self) -> int:
        return self.kernel.pop() if self.kernel else fails(EAGAIN)


class Forgetful(Queue):
    def take(self) -> int:
        return fails(EAGAIN)


class Overflowing(Queue):
    def take(self) -> int:
        return self.kernel.pop(0) if self.kernel else -1


class Missing(Queue):
    def take(self) -> int:
        return fails(ENOSYS)


def test_agreeing_model_passes():
    agree(Queue)


@pytest.mark.parametrize(
    ("machine", "expected", "observed"),
    [
        (LastInFirstOut, "receive() to give 0", "it gave 1, after send(0); send(1)"),
        (Forgetful, "receive() to give 0", "it failed with EAGAIN, after send(0)"),
        (Overflowing, "receive() to fail with EAGAIN", "it gave -1"),
    ],
)
def test_difference_is_reported_as_the_shortest_history(machine, expected, observed):
    with pytest.raises(Deviation) as caught:
        agree(machine)
    assert (caught.value.expected, caught.value.observed) == (expected, observed)
    assert not getattr(caught.value, "__notes__", None)


def test_missing_call_is_not_a_difference():
    with pytest.raises(OSError, match="ENOSYS"):
        agree(Missing)


def test_unreproducible_difference_is_reported_as_such():
    once = [True]

    class Fickle(Queue):
        def take(self) -> int:
            if self.kernel and once:
                once.clear()
                return -1
            return super().take()

    with pytest.raises(Deviation, match=r"^expected receive\(\) to give \d, it gave -1, after .*; not every time$"):
        agree(Fickle)


def test_slow_call_is_reported_with_its_history_and_not_repeated():
    tries: list[int] = []

    class Slow(Queue):
        def take(self) -> int:
            if self.kernel:
                tries.append(1)
                if len(tries) == 1:
                    raise TimeoutError("receive() did not return within 10 s")
            return super().take()

    with pytest.raises(TimeoutError, match=r"^receive\(\) did not return within 10 s, after .*send\(\d\)"):
        agree(Slow)
    assert len(tries) == 1


def test_dead_worker_ends_a_model_with_its_error():
    class Dead(Queue):
        def take(self) -> int:
            raise ChildDied("<child 7 (A)> was killed by SIGKILL", -9)

    with pytest.raises(ChildDied, match="was killed by SIGKILL"):
        agree(Dead)


def time_up(after: int) -> type[Queue]:
    """Return a model that exceeds its time limit in a call."""

    class Late(Queue):
        calls = 0

        def take(self) -> int:
            Late.calls += 1
            if Late.calls == after:
                raise TimeUp(60)
            return super().take()

    return Late


def test_model_out_of_time_is_untested_with_its_progress():
    with pytest.raises(TooSlow, match=r"agreed with the kernel for 60 s, but only in \d+ histories"):
        agree(time_up(after=100))


def test_call_that_exhausts_the_time_of_a_model_is_a_timeout():
    late: Any = time_up(after=5)

    class Hanging(late):  # type: ignore[misc] # a class all the same
        def take(self) -> int:
            try:
                return int(super().take())
            except TimeUp:
                self.since -= 31  # simulates time spent in the kernel
                raise

    with pytest.raises(TimeoutError, match=r"^receive\(\) did not return within 31 s, after "):
        agree(Hanging)


def test_difference_found_in_time_is_reported():
    class Wrong(LastInFirstOut):
        def take(self) -> int:
            if len(found) > 3:
                raise TimeUp(60)
            if len(self.kernel) > 1:
                found.append(1)
            return super().take()

    found: list[int] = []
    with pytest.raises(Deviation, match=r"^expected receive\(\) to give \d, it gave \d, after "):
        agree(Wrong)
    assert len(found) > 3


def give_up() -> None:
    raise PermissionError(1, "as it was told")


def test_worker_returns_the_result_of_a_call(fork):
    worker = Worker(fork, "A")
    assert worker.do(divmod, 7, 2) == (3, 1)
    with pytest.raises(PermissionError, match="as it was told"):
        worker.do(give_up)
    worker.begin(abs, -1)
    assert worker.end() == 1
    worker.close()
    assert worker.child.wait() == 0


def test_cause_of_a_workers_death_is_raised(fork):
    worker = Worker(fork, "A")
    with pytest.raises(ZeroDivisionError):
        worker.do(divmod, 7, 0)
    worker.close()


def test_late_reply_is_not_taken_for_the_next_request(fork, pipe, monkeypatch):
    gate = pipe()
    worker = Worker(fork, "A")
    monkeypatch.setattr("conformance.workers.PATIENCE", 0.05)
    with pytest.raises(TimeoutError, match="read in A did not return"):
        worker.do(os.read, gate.read_fd, 4)
    monkeypatch.undo()
    gate.write(b"late")
    assert worker.do(divmod, 7, 2) == (3, 1)
    worker.close()

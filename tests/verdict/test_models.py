"""What a model makes of a difference: the shortest history, as calls, that anybody can read."""

from __future__ import annotations

import os
from errno import EAGAIN, ENOSYS

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from conformance.model import Model, agree, fails
from conformance.peers import Peer
from pytest_ipc import Deviation


class Queue(Model):
    """A queue of numbers whose kernel is a list, with a fault to be planted."""

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


def test_what_agrees_passes():
    agree(Queue)


@pytest.mark.parametrize(
    ("machine", "expected", "observed"),
    [
        (LastInFirstOut, "receive() to give 0", "it gave 1, after send(0); send(1)"),
        (Forgetful, "receive() to give 0", "it failed with EAGAIN, after send(0)"),
        (Overflowing, "receive() to fail with EAGAIN", "it gave -1"),
    ],
)
def test_a_difference_is_told_as_the_shortest_history(machine, expected, observed):
    with pytest.raises(Deviation) as caught:
        agree(machine)
    assert (caught.value.expected, caught.value.observed) == (expected, observed)
    assert not getattr(caught.value, "__notes__", None)


def test_a_call_that_is_not_there_is_no_difference():
    with pytest.raises(OSError, match="ENOSYS"):
        agree(Missing)


def test_what_does_not_come_again_is_told_so():
    once = [True]

    class Fickle(Queue):
        def take(self) -> int:
            if self.kernel and once:
                once.clear()
                return -1
            return super().take()

    with pytest.raises(Deviation, match=r"^expected receive\(\) to give \d, it gave -1, after .*; not every time$"):
        agree(Fickle)


def test_what_did_not_return_once_is_told():
    once = [True]

    class Slow(Queue):
        def take(self) -> int:
            if self.kernel and once:
                once.clear()
                raise TimeoutError("receive() did not return within 10 s")
            return super().take()

    with pytest.raises(TimeoutError, match="did not return"):
        agree(Slow)


def give_up() -> None:
    raise PermissionError(1, "as it was told")


def test_a_peer_does_as_it_is_told(fork):
    peer = Peer(fork, "A")
    assert peer.do(divmod, 7, 2) == (3, 1)
    with pytest.raises(PermissionError, match="as it was told"):
        peer.do(give_up)
    peer.begin(abs, -1)
    assert peer.end() == 1
    peer.close()
    assert peer.actor.wait() == 0


def test_what_a_peer_dies_of_is_raised(fork):
    peer = Peer(fork, "A")
    with pytest.raises(ZeroDivisionError):
        peer.do(divmod, 7, 0)
    peer.close()


def test_a_late_answer_is_not_taken_for_that_of_the_next_request(fork, pipe, monkeypatch):
    gate = pipe()
    peer = Peer(fork, "A")
    monkeypatch.setattr("conformance.peers.PATIENCE", 0.05)
    with pytest.raises(TimeoutError, match="read in A did not return"):
        peer.do(os.read, gate.read_fd, 4)
    monkeypatch.undo()
    gate.write(b"late")
    assert peer.do(divmod, 7, 2) == (3, 1)
    peer.close()

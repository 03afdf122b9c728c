"""The scope: newest first, on after a failure, and only in the process that made a thing."""

from __future__ import annotations

import os

import pytest

from pytest_ipc import Scope, Segment, fails_with, scope, unused_key
from pytest_ipc.kernel import shmctl_stat, shmget

ENDED: list[str] = []


class Thing:
    """Something to own, which notes that it ended, or fails at it; harmless when it has ended."""

    def __init__(self, name: str, failure: BaseException | None = None) -> None:
        self.name = name
        self.failure = failure

    def close(self) -> None:
        if self.name in ENDED:
            return
        ENDED.append(self.name)
        if self.failure is not None:
            raise self.failure


@pytest.fixture(autouse=True)
def _nothing_has_ended():
    ENDED.clear()


def test_resources_end_in_reverse_order():
    with Scope() as owner:
        things = [owner.own(Thing(name)) for name in "abc"]
        assert owner.owned() == things
    assert (ENDED, owner.owned()) == (["c", "b", "a"], [])


def test_forgotten_resource_is_not_ended():
    with Scope() as owner:
        owner.own(Thing("a"))
        owner.forget(owner.own(Thing("b")))
        owner.forget(Thing("never owned"))
    assert ENDED == ["a"]


def owning(*things: Thing) -> Scope:
    owner = Scope()
    for thing in things:
        owner.own(thing)
    return owner


def test_one_failure_is_raised_as_it_is_after_all_have_ended():
    failure = OSError("b failed")
    with pytest.raises(OSError, match="b failed") as caught:
        owning(Thing("a"), Thing("b", failure), Thing("c")).close()
    assert (caught.value is failure, ENDED) == (True, ["c", "b", "a"])


def test_several_failures_are_raised_together():
    first, second = OSError("a failed"), ValueError("c failed")
    with pytest.raises(ExceptionGroup, match="2 resources could not be released") as caught:
        owning(Thing("a", first), Thing("b"), Thing("c", second)).close()
    assert (caught.value.exceptions, ENDED) == ((second, first), ["c", "b", "a"])


def test_an_interrupt_ends_the_rest_all_the_same():
    with pytest.raises(KeyboardInterrupt):
        owning(Thing("a"), Thing("b", KeyboardInterrupt()), Thing("c")).close()
    assert ENDED == ["c", "b", "a"]


def test_an_interrupt_among_failures_stays_an_interrupt():
    """In a group it would be one more failed test to pytest, and the run would go on."""
    failure = OSError(1, "a failed")
    with pytest.raises(KeyboardInterrupt) as caught:
        owning(Thing("a", failure), Thing("b", KeyboardInterrupt())).close()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.exceptions == (failure,)
    assert ENDED == ["b", "a"]


def fail_within(owner: Scope) -> None:
    with owner:
        raise ValueError("the block failed")


def test_the_failure_of_the_block_is_kept_beside_that_of_the_end():
    with pytest.raises(OSError, match="a failed") as caught:
        fail_within(owning(Thing("a", OSError("a failed"))))
    assert str(caught.value.__context__) == "the block failed"


def test_nested_and_late_resources_are_ended_once():
    owner = Scope()

    class Maker(Thing):
        def close(self) -> None:
            super().close()
            owner.forget(inner)
            owner.own(Thing("late"))

    inner = owner.own(Thing("inner"))
    owner.own(Thing("first"))
    owner.own(Maker("maker"))
    owner.close()
    assert ENDED == ["maker", "late", "first"]
    owner.close()
    assert ENDED == ["maker", "late", "first"]


def test_close_in_a_bare_fork_keeps_the_parents_objects():
    with scope() as ipc:
        segment, pipe, fifo, child = ipc.sysv_shm(), ipc.pipe(), ipc.fifo(), ipc.fork(os.getpid)
        attachment = segment.attach()
        pid = os.fork()
        if pid == 0:
            try:
                ipc.scope.close()
                for thing in (segment, attachment, fifo, child, pipe):
                    thing.close()
                pipe.write(b"still open")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert pipe.read() == b"still open"
        assert (segment.exists(), segment.stat().nattch, fifo.path.exists()) == (True, 1, True)
        assert child.result() == child.pid


def test_objects_of_a_child_end_with_the_child():
    key = unused_key()
    with scope() as ipc:
        mine = ipc.sysv_shm()

        def life():
            theirs, fifo = ipc.sysv_shm(key=key), ipc.fifo()
            theirs.attach()
            return theirs.id, fifo.path, [type(thing).__name__ for thing in ipc.scope.owned()]

        shmid, path, owned = ipc.fork(life).result()
        assert owned == ["Segment", "Segment", "Fifo", "Attachment"]
        assert (mine.exists(), path.exists()) == (True, False)
        with fails_with(22, 43):
            shmctl_stat(shmid)
        with fails_with(2):
            shmget(key, 0, 0)


def test_failed_release_in_a_child_is_its_failure():
    with scope() as ipc:

        def life():
            ipc.scope.own(Thing("theirs", OSError("cannot go")))

        with pytest.raises(OSError, match="cannot go"):
            ipc.fork(life).result()
    assert ENDED == []


def test_an_object_that_ended_early_is_not_ended_again():
    with scope() as ipc:
        segment = ipc.sysv_shm()
        segment.close()
        assert ipc.scope.owned() == []
        with Segment.create(scope=ipc.scope) as other:
            assert ipc.scope.owned() == [other]
        assert ipc.scope.owned() == []

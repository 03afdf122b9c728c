"""The factories: one table for fixtures and scope(), and errors that tell a failed set-up from a failed call."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_ipc import (
    Child,
    EventFd,
    Fifo,
    FileLock,
    Futex,
    Ipc,
    Mapping,
    MessageQueue,
    Pipe,
    PosixQueue,
    PosixSemaphore,
    Scope,
    Segment,
    SemaphoreSet,
    SharedMemory,
    Signals,
    TimerFd,
    scope,
    unpatched,
)
from pytest_ipc.kernel.errnos import errno_name
from pytest_ipc.resource import COULD_NOT_MAKE


def test_a_scope_makes_everything_and_ends_it():
    with scope() as ipc:
        made = {
            ipc.sysv_shm(8192): Segment,
            ipc.sysv_sem(2): SemaphoreSet,
            ipc.sysv_msg(): MessageQueue,
            ipc.posix_shm(): SharedMemory,
            ipc.posix_sem(): PosixSemaphore,
            ipc.posix_mq(maxmsg=1): PosixQueue,
            ipc.mapped_file(): Mapping,
            ipc.pipe(): Pipe,
            ipc.fifo(): Fifo,
            ipc.file_lock(): FileLock,
            ipc.eventfd(): EventFd,
            ipc.timerfd(): TimerFd,
            ipc.futex(): Futex,
            ipc.signals: Signals,
            ipc.fork(int): Child,
        }
        assert {thing: type(thing) for thing in made} == made
        assert ipc.scope.owned() == list(made)
    assert [thing for thing in made if not thing.closed] == []


def test_the_signals_of_a_scope_are_noted_at_their_first_use_and_once():
    with scope() as ipc:
        assert ipc.scope.owned() == []
        assert ipc.signals is ipc.signals
        assert ipc.scope.owned() == [ipc.signals]


def test_scopes_nest_and_are_apart():
    with scope() as outer:
        segment = outer.sysv_shm()
        with scope() as inner:
            assert inner.sysv_shm().id != segment.id
        assert segment.exists()


def test_what_could_not_be_made_says_so_beside_its_errno(tmp_path):
    with scope() as ipc:
        first = ipc.sysv_shm()
        for make in (lambda: ipc.sysv_shm(key=first.key), lambda: ipc.fifo(path=tmp_path), lambda: ipc.pipe(flags=1)):
            with pytest.raises(OSError, match=r"shmget|mkfifo|pipe2") as caught:
                make()
            assert COULD_NOT_MAKE in caught.value.__notes__
        with pytest.raises(FileNotFoundError) as missing:
            (tmp_path / "nothing").stat()
        assert not hasattr(missing.value, "__notes__")


def test_a_child_that_could_not_be_started_says_so_too(monkeypatch):
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with scope() as ipc:
        ipc.sysv_shm()  # so that the reaper is there
        monkeypatch.setattr(unpatched.os, "fork", fork)
        with pytest.raises(BlockingIOError) as caught:
            ipc.fork(int)
        assert COULD_NOT_MAKE in caught.value.__notes__
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("number", "name"),
    [(17, "EEXIST"), (35, "EDEADLK"), (95, "EOPNOTSUPP"), (11, "EAGAIN"), (4242, "errno 4242"), (None, "errno None")],
)
def test_an_errno_has_the_name_that_the_pages_use(number, name):
    assert errno_name(number) == name


def test_a_factory_is_documented_as_what_it_makes():
    with scope() as ipc:
        assert ipc.sysv_shm.__doc__ == Segment.create.__doc__
        assert ipc.fork.__doc__ is not None


@pytest.mark.parametrize("argument", ["scope", "no_such_argument"])
def test_an_argument_that_there_is_not_is_a_type_error(argument):
    with scope() as ipc, pytest.raises(TypeError, match=argument):
        ipc.pipe(**{argument: None})


def test_elsewhere_than_on_linux_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotImplementedError, match=r"^pytest-ipc makes Linux IPC objects, and this system is darwin$"):
        Ipc(Scope())


def test_failures_at_the_end_are_told_together():
    ipc = Ipc(Scope())
    first, second = ipc.pipe(), ipc.pipe()
    for pipe in (first, second):
        os.close(pipe.read_fd)
    with pytest.raises(ExceptionGroup, match="2 resources could not be released"):
        ipc.scope.close()
    assert first.writer.closed
    assert second.writer.closed

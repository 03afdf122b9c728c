"""The factories: one table for fixtures and scope(), and errors that distinguish creation from a call under test."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable

import pytest

from pytest_ipc import (
    Child,
    EventFd,
    Fifo,
    FileLock,
    Futex,
    Ipc,
    IpcNamespace,
    Listener,
    Mapping,
    MessageQueue,
    Pipe,
    PosixQueue,
    PosixSemaphore,
    Program,
    ReservedKey,
    ReservedName,
    ReservedPath,
    Scope,
    Segment,
    SemaphoreSet,
    SharedMemory,
    Signals,
    Socket,
    Sockets,
    TimerFd,
    TwoHosts,
    observe,
    scope,
    unpatched,
    wait_until,
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
            ipc.spawn(["true"]): Program,
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


def test_failed_creation_has_a_note_and_its_errno(tmp_path):
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


CREATED = {
    "spawn": Program.start,
    "observe": observe,
    "reserve_name": ReservedName,
    "reserve_key": ReservedKey,
    "reserve_path": ReservedPath,
    "wait_until": wait_until,
    "sysv_shm": Segment.create,
    "sysv_sem": SemaphoreSet.create,
    "sysv_msg": MessageQueue.create,
    "posix_shm": SharedMemory.create,
    "posix_sem": PosixSemaphore.create,
    "posix_mq": PosixQueue.create,
    "mapped_file": Mapping.create,
    "pipe": Pipe.create,
    "fifo": Fifo.create,
    "file_lock": FileLock.create,
    "eventfd": EventFd.create,
    "timerfd": TimerFd.create,
    "futex": Futex.create,
    "ipc_namespace": IpcNamespace.create,
    "two_hosts": TwoHosts.create,
}
CREATED_SOCKETS = {
    "socket": Socket.create,
    "pair": Socket.pair,
    "connect": Socket.connect,
    "listen_unix": Listener.unix,
    "listen_inet": Listener.inet,
}


def parameters(function: Callable[..., object], *without: str) -> list[tuple[str, object, object]]:
    listed = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in listed if each.name not in without]


@pytest.mark.parametrize(
    ("owner", "name", "create"),
    [(Ipc, *entry) for entry in CREATED.items()] + [(Sockets, *entry) for entry in CREATED_SOCKETS.items()],
)
def test_method_has_the_parameters_of_its_class(owner, name, create):
    assert parameters(getattr(owner, name), "self") == parameters(create, "scope", "fork")


def test_every_method_is_compared():
    methods = {name for owner in (Ipc, Sockets) for name, value in vars(owner).items() if inspect.isfunction(value)}
    assert methods - {"__init__", "__reduce__"} == CREATED.keys() | CREATED_SOCKETS.keys()


@pytest.mark.parametrize("argument", ["scope", "no_such_argument"])
def test_unknown_argument_is_a_type_error(argument):
    with scope() as ipc, pytest.raises(TypeError, match=argument):
        ipc.pipe(**{argument: None})  # type: ignore[arg-type]


def test_other_systems_get_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotImplementedError, match=r"^pytest-ipc creates Linux IPC objects, and this system is darwin$"):
        Ipc(Scope())


def test_failures_at_the_end_are_raised_together():
    ipc = Ipc(Scope())
    first, second = ipc.pipe(), ipc.pipe()
    for pipe in (first, second):
        os.close(pipe.read_fd)
    with pytest.raises(ExceptionGroup, match="2 resources could not be released"):
        ipc.scope.close()
    assert first.writer.closed
    assert second.writer.closed

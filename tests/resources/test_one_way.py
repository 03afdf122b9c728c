"""One way for each thing in every public class: close(), remove() or unlink(), fileno(), the order of arguments."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import pytest

import pytest_ipc
from pytest_ipc import (
    AlternateStack,
    Attachment,
    Child,
    Descriptor,
    End,
    EventFd,
    Fifo,
    FileLock,
    Futex,
    Host,
    IpcNamespace,
    Listener,
    Mapping,
    MessageQueue,
    NotAllowedHere,
    OwnedFile,
    Pipe,
    PosixQueue,
    PosixSemaphore,
    Program,
    ReservedKey,
    ReservedName,
    ReservedPath,
    Resource,
    Scope,
    Segment,
    SemaphoreSet,
    SharedMemory,
    SignalFd,
    Signals,
    SignalTimer,
    Socket,
    SysvObject,
    TimerFd,
    TwoHosts,
)

CLASSES: tuple[type, ...] = tuple(
    found
    for module, names in pytest_ipc._NAMES.items()
    if not module.startswith("verdict.")
    for name in names
    if inspect.isclass(found := getattr(pytest_ipc, name))
)
BASES = {Resource, SysvObject}  # which are not created


def a_file(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


# Without a scope, so that close() alone releases them.
ALONE: dict[type, Callable[[], Any]] = {
    AlternateStack: AlternateStack.create,
    Child: lambda: Child.start(signal.pause),
    Descriptor: lambda: Descriptor(os.open(os.devnull, os.O_RDONLY), "device"),
    EventFd: EventFd.create,
    Fifo: Fifo.create,
    FileLock: FileLock.create,
    Futex: Futex.create,
    IpcNamespace: IpcNamespace.create,
    Listener: Listener.unix,
    Mapping: Mapping.create,
    MessageQueue: MessageQueue.create,
    OwnedFile: lambda: OwnedFile.create("lock-file", "file", a_file),
    Pipe: Pipe.create,
    PosixQueue: lambda: PosixQueue.create(maxmsg=1, msgsize=1),
    PosixSemaphore: PosixSemaphore.create,
    Program: lambda: Program.start(["sleep", "100"]),
    Scope: Scope,
    ReservedKey: ReservedKey,
    ReservedName: ReservedName,
    ReservedPath: ReservedPath,
    Segment: Segment.create,
    SemaphoreSet: SemaphoreSet.create,
    SharedMemory: SharedMemory.create,
    SignalTimer: lambda: SignalTimer.create(None, clock=1, value=0, thread=None),
    Signals: Signals.create,
    Socket: Socket.create,
    TimerFd: TimerFd.create,
    TwoHosts: TwoHosts.create,
}
# Those of another object, which the stack closes.
OF_ANOTHER: dict[type, Callable[[ExitStack], Any]] = {
    Attachment: lambda stack: stack.enter_context(Segment.create()).attach(),
    End: lambda stack: stack.enter_context(Pipe.create()).reader,
    Host: lambda stack: stack.enter_context(TwoHosts.create()).left,
    SignalFd: lambda stack: stack.enter_context(Signals.create()).fd(signal.SIGUSR1),
}
CREATED = {*ALONE, *OF_ANOTHER}
WITH_DESCRIPTOR = {
    Descriptor,
    End,
    EventFd,
    FileLock,
    Listener,
    PosixQueue,
    SharedMemory,
    SignalFd,
    Socket,
    TimerFd,
}
# Their number of descriptors varies: none for anonymous memory; two if there is a user namespace; the ends opened so
# far.
SEVERAL = {Mapping, IpcNamespace, Fifo, Signals}
REMOVED: dict[str, set[type]] = {
    "remove": {MessageQueue, Segment, SemaphoreSet, SysvObject},  # IPC_RMID
    "unlink": {OwnedFile, PosixQueue, PosixSemaphore, SharedMemory},  # mq_unlink, sem_unlink, shm_unlink, unlink
}
OTHER_WORDS = {"delete", "destroy", "dispose", "end", "free", "kill", "rm", "rmid"}


def created(cls: type, stack: ExitStack) -> Any:
    try:
        return ALONE[cls]() if cls in ALONE else OF_ANOTHER[cls](stack)
    except NotAllowedHere as error:
        pytest.skip(str(error))


def having(name: str, classes: Iterable[type] = CLASSES) -> set[type]:
    """Return the classes that have the method *name*."""
    return {cls for cls in classes if callable(getattr(cls, name, None))}


def in_order(classes: Iterable[type]) -> list[type]:
    return sorted(classes, key=lambda cls: cls.__name__)


def short(value: object) -> str | None:
    return value.__name__ if isinstance(value, type) else None


def test_every_class_with_close_is_created_here():
    assert having("close") - BASES == CREATED


def test_a_class_that_is_not_created_here_would_be_noticed():
    class New(Resource):
        pass

    assert having("close", (*CLASSES, New)) - BASES - CREATED == {New}


@pytest.mark.parametrize("cls", in_order(CREATED), ids=short)
def test_close_releases_and_is_harmless_twice(cls):
    with ExitStack() as stack:
        it = created(cls, stack)
        held = list(it.descriptors()) if isinstance(it, Resource) else []
        it.close()
        it.close()
        if isinstance(it, Resource):
            assert it.closed
            assert it.descriptors() == []
        for fd in held:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)


@pytest.mark.parametrize("cls", in_order(having("__enter__") & CREATED), ids=short)
def test_the_end_of_a_block_closes(cls):
    with ExitStack() as stack:
        it = created(cls, stack)
        with it as same:
            assert same is it
        it.close()


def test_a_class_with_one_descriptor_has_fileno():
    assert having("fileno") == WITH_DESCRIPTOR


@pytest.mark.parametrize("cls", in_order(CREATED), ids=short)
def test_fileno_is_the_descriptor_until_close(cls):
    with ExitStack() as stack:
        it = created(cls, stack)
        with it if hasattr(it, "__exit__") else ExitStack():
            if cls in WITH_DESCRIPTOR:
                assert it.fileno() == it.fd
                assert it.descriptors() == [it.fd]
                it.close()
                with pytest.raises(ValueError, match="closed"):
                    it.fileno()
            elif isinstance(it, Resource) and cls not in SEVERAL:
                assert len(it.descriptors()) != 1
            it.close()


def test_what_removes_an_object_has_the_verb_of_the_manual():
    assert {verb: having(verb) for verb in REMOVED} == REMOVED
    assert {word: found for word in OTHER_WORDS if (found := having(word))} == {}


@pytest.mark.parametrize(
    ("verb", "cls"),
    [(verb, cls) for verb, found in REMOVED.items() for cls in in_order(found - BASES)],
    ids=short,
)
def test_a_removal_reports_whether_it_removed(verb, cls):
    with ExitStack() as stack:
        it = created(cls, stack)
        stack.callback(it.close)
        assert getattr(it, verb)() is True
        assert getattr(it, verb)() is False


def arguments() -> list[tuple[str, list[str]]]:
    """Return the positional arguments of each public method that is given the number of a semaphore."""
    found = []
    for cls in CLASSES:
        for name, function in inspect.getmembers(cls, inspect.isfunction):
            given = inspect.signature(function).parameters.values()
            positional = [each.name for each in given if each.kind is each.POSITIONAL_OR_KEYWORD]
            if not name.startswith("_") and {"num", "number"} & set(positional):
                found.append((f"{cls.__name__}.{name}", positional))
    return found


@pytest.mark.parametrize(("name", "given"), arguments())
def test_the_number_of_a_semaphore_is_the_last_argument_and_may_be_omitted(name, given):
    assert given[-1] == "num", name
    assert inspect.signature(getattr(SemaphoreSet, name.split(".")[1])).parameters["num"].default == 0


def test_a_value_comes_before_the_number():
    with SemaphoreSet.create(values=[1, 2]) as semaphores:
        semaphores.set_value(7, 1)
        assert semaphores.values == [1, 7]
    with PosixSemaphore.create(7) as semaphore:
        assert semaphore.value == 7

"""mq_notify(3), mq_close(3): being told of a message that comes into an empty queue.

Who is told is a child with one thread, which blocks the signal and waits for it: in a process with more threads, as a worker
of pytest-xdist is, another one would get it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from ctypes import CDLL, CFUNCTYPE, c_void_p, cast
from errno import EBADF, EBUSY, EINVAL
from os import O_RDWR
from signal import SIGKILL, SIGRTMAX, SIGRTMIN, SIGUSR1, pause
from typing import Any

import pytest

from pytest_ipc import Child, Fork, clause, fails_with, untested
from pytest_ipc.kernel import (
    SI_MESGQ,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    SIGEV_THREAD_ID,
    Deadline,
    mq_close,
    mq_notify,
    mq_open,
    mq_receive,
    mq_send,
    sigpending,
    sigtimedwait,
    stack_size,
    thread_attributes,
)

from ..credentials import GROUP, STRANGER, become


@pytest.fixture
def queue(posix_mq):
    """A queue with room for three messages of up to eight bytes, that every user may write to."""
    made = posix_mq(maxmsg=3, msgsize=8)
    os.chmod(made.fd, 0o666)
    return made


@pytest.fixture
def told(fork: Fork, signals, queue) -> Callable[..., Child[Any]]:
    """A child that has registered and waits for SIGUSR1; its result is what it was told, as SigInfo."""

    def start(value: int = 0, before: Callable[[], object] = int) -> Child[Any]:
        def child() -> object:
            signals.block(SIGUSR1)
            mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1, value)
            before()
            return sigtimedwait({SIGUSR1}, 60)

        actor = fork(child)
        actor.wait_blocked("sigtimedwait")
        return actor

    return start


def is_free(queue) -> bool:
    """Whether this process can register; it does not stay so."""
    try:
        mq_notify(queue.fd, SIGEV_NONE)
    except OSError as error:
        if error.errno != EBUSY:
            raise
        return False
    mq_notify(queue.fd, None)
    return True


@clause("mq_notify.signal-basic", "mq_notify(3)", "DESCRIPTION")
def test_a_message_in_an_empty_queue_is_told_by_a_signal(queue, told):
    """SIGEV_SIGNAL sends the signal to who has registered when a message comes into the empty queue."""
    child = told()
    mq_send(queue.fd, b"message")
    assert child.result().signo == SIGUSR1
    assert mq_receive(queue.fd, 8) == (b"message", 0)


@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.siginfo", "mq_notify(3)", "DESCRIPTION")
def test_the_signal_tells_who_has_sent(queue, told, fork):
    """The signal has the code SI_MESGQ, the pid and real user of the sender, and the value that was registered."""
    child = told(-77)

    def send() -> tuple[int, int]:
        with suppress(OSError):  # then the real user is the same for both
            os.setresuid(STRANGER, -1, -1)
        mq_send(queue.fd, b"message")
        return os.getpid(), os.getuid()

    sender, user = fork(send).result()
    info = child.result()
    assert (info.code, info.pid, info.uid, info.value) == (SI_MESGQ, sender, user, -77)


@clause("mq_notify.none", "mq_notify(3)", "DESCRIPTION")
def test_nothing_is_sent_to_who_wants_nothing(queue, fork, pipe, signals):
    """SIGEV_NONE takes the place of the one who is told, and nothing is sent to him; the message ends it all the same."""
    gate, every = pipe(), set(range(1, 32)) - {9, 19}

    def child() -> frozenset[int]:
        signals.block(*every)
        mq_notify(queue.fd, SIGEV_NONE)
        gate.read(1)
        return sigpending()

    actor = fork(child)
    actor.wait_blocked("read")
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"message")
    assert is_free(queue)
    gate.write(b"!")
    assert actor.result() == frozenset()


@pytest.mark.usefixtures("room_for_processes")
@clause("mq_notify.thread", "mq_notify(3)", "DESCRIPTION")
def test_a_function_is_called_in_a_thread(queue, fork, posix_sem):
    """SIGEV_THREAD has the function called with its argument when a message comes, while the process goes on."""
    try:
        function = cast(CDLL(None).sem_post, c_void_p).value or 0
    except AttributeError:
        untested("needs a C function to be called, and this libc shows no sem_post")
    called, ready = posix_sem(shared=True), posix_sem(shared=True)

    def child() -> None:
        mq_notify(queue.fd, SIGEV_THREAD, function=function, argument=called.address)
        ready.post()
        called.wait(timeout=10)

    actor = fork(child)
    ready.wait(timeout=10)
    actor.wait_blocked("futex")
    mq_send(queue.fd, b"message")
    actor.result(timeout=15)
    assert called.value == 0


@pytest.mark.usefixtures("room_for_processes")
@clause("mq_notify.thread-attributes", "sigevent(7)", "SIGEV_THREAD")
def test_the_thread_has_the_attributes_given(queue, fork):
    """The thread that SIGEV_THREAD has the function called in has the attributes that were given, a stack size here."""
    size = 37 << 20

    def child() -> int:
        seen: list[int] = []
        function = CFUNCTYPE(None, c_void_p)(lambda _: seen.append(stack_size()))
        address = cast(function, c_void_p).value or 0
        with thread_attributes(size) as attributes:
            mq_notify(queue.fd, SIGEV_THREAD, function=address, attributes=attributes)
            mq_send(queue.fd, b"message")
            Deadline(10).until(lambda: bool(seen))
        return seen[0] if seen else 0

    assert size - (1 << 20) <= fork(child).result(30) <= size + (1 << 20)


@pytest.mark.usefixtures("room_for_processes")
@clause("mq_notify.thread-cancelled", "mq_notify(3)", "DESCRIPTION")
def test_a_thread_that_was_cancelled_is_not_made(queue, fork):
    """A registration with SIGEV_THREAD that is cancelled has no function called; the process lives on, and can register again."""

    def child() -> list[str]:
        seen: list[str] = []
        functions = [CFUNCTYPE(None, c_void_p)(lambda _, name=name: seen.append(name)) for name in ("first", "second")]
        addresses = [cast(function, c_void_p).value or 0 for function in functions]
        with thread_attributes(1 << 20) as attributes:
            mq_notify(queue.fd, SIGEV_THREAD, function=addresses[0], attributes=attributes)
            mq_notify(queue.fd, None)
        mq_notify(queue.fd, SIGEV_THREAD, function=addresses[1])
        mq_send(queue.fd, b"message")
        Deadline(10).until(lambda: bool(seen))
        return seen

    assert fork(child).result(30) == ["second"]


@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.ebusy", "mq_notify(3)", "ERRORS", errno=EBUSY)
def test_one_process_at_a_time_is_told(queue, told):
    """While a process is registered nobody else can be, nor the same one again."""

    def again() -> None:
        with fails_with(EBUSY):
            mq_notify(queue.fd, SIGEV_NONE)

    child = told(1, again)
    for _ in range(2):
        with fails_with(EBUSY):
            mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
    mq_send(queue.fd, b"message")
    assert child.result().value == 1


@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.one-shot", "mq_notify(3)", "DESCRIPTION")
def test_who_was_told_is_told_once(queue, told, fork, signals):
    """Who has been told is not registered any more: the next message is not told, and another process can register."""

    def child() -> tuple[int, frozenset[int]]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_send(queue.fd, b"first")
        told_of = sigtimedwait({SIGUSR1}, 60).signo
        mq_receive(queue.fd, 8)
        mq_send(queue.fd, b"second")
        return told_of, sigpending()

    assert fork(child).result() == (SIGUSR1, frozenset())
    mq_receive(queue.fd, 8)
    next_one = told(2)
    mq_send(queue.fd, b"third")
    assert next_one.result().value == 2


@clause("mq_notify.only-from-empty", "mq_notify(3)", "DESCRIPTION")
def test_a_message_among_others_is_not_told(queue, fork, signals):
    """A message that comes into a queue with messages in it is not told; one that comes when those were received is."""
    mq_send(queue.fd, b"early")

    def child() -> tuple[frozenset[int], int]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_send(queue.fd, b"second")
        quiet = sigpending()
        for _ in range(2):
            mq_receive(queue.fd, 8)
        mq_send(queue.fd, b"third")
        return quiet, sigtimedwait({SIGUSR1}, 60).signo

    assert fork(child).result() == (frozenset(), SIGUSR1)


@clause("mq_notify.blocked-receiver-wins", "mq_notify(3)", "DESCRIPTION")
def test_who_waits_for_a_message_has_it_and_nobody_is_told(queue, fork, told):
    """A message for a process that waits in mq_receive is not told, and who has registered stays so for the next one."""
    receiver = fork(mq_receive, queue.fd, 8)
    receiver.wait_blocked("mq_receive")
    child = told()
    mq_send(queue.fd, b"taken")
    assert receiver.result() == (b"taken", 0)
    child.wait_blocked("sigtimedwait")
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"told")
    assert child.result().signo == SIGUSR1


@clause("mq_notify.null-unregisters", "mq_notify(3)", "DESCRIPTION")
def test_null_ends_the_registration(queue, fork, signals):
    """With a null pointer who is registered is so no more: nothing is told, and another process can register."""

    def child() -> frozenset[int]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_notify(queue.fd, None)
        mq_send(queue.fd, b"untold")
        return sigpending()

    assert fork(child).result() == frozenset()
    assert is_free(queue)


@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.null-leaves-others", "mq_notify(3)", "DESCRIPTION")
def test_null_does_not_end_anothers_registration(queue, told):
    """A null pointer from a process that is not registered takes nothing from the one that is."""
    child = told(5)
    try:
        mq_notify(queue.fd, None)
    except OSError as error:
        if error.errno != EINVAL:  # which POSIX allows here
            raise
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"message")
    assert child.result().value == 5


@clause("mq_notify.close-unregisters", "mq_close(3)", "DESCRIPTION")
def test_closing_ends_the_registration(queue, fork, pipe):
    """Closing the descriptor that a process has registered through ends the registration; another process can register."""
    gate = pipe()

    def child() -> None:
        fd = mq_open(queue.name, O_RDWR)
        mq_notify(fd, SIGEV_NONE)
        gate.read(1)
        mq_close(fd)
        gate.read(1)

    actor = fork(child)
    actor.wait_blocked("read")
    assert not is_free(queue)
    gate.write(b"!")
    actor.wait_blocked("read")
    assert Deadline(5).until(lambda: is_free(queue))
    gate.write(b"!")
    actor.result()


@clause("mq_notify.exit-unregisters", "mq_notify(3)", "DESCRIPTION")
def test_death_ends_the_registration(queue, fork):
    """A process that has ended, by whatever death, is not registered any more; another process can register."""

    def child() -> None:
        mq_notify(queue.fd, SIGEV_NONE)
        pause()

    actor = fork(child)
    actor.wait_blocked("pause")
    assert not is_free(queue)
    actor.signal(SIGKILL)
    assert actor.wait() == -SIGKILL
    assert is_free(queue)


@pytest.mark.parametrize("signo", [SIGRTMIN, SIGRTMAX], ids=["SIGRTMIN", "SIGRTMAX"])
@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.real-time-signals", "sigevent(7)", "DESCRIPTION")
def test_a_real_time_signal_may_be_sent(queue, fork, signals, signo):
    """The signal may be a real-time one."""

    def child() -> tuple[int, int]:
        signals.block(signo)
        mq_notify(queue.fd, SIGEV_SIGNAL, signo, 9)
        mq_send(queue.fd, b"message")
        info = sigtimedwait({signo}, 60)
        return info.signo, info.value

    assert fork(child).result() == (signo, 9)


@pytest.mark.parametrize(
    ("notify", "signo"),
    [(SIGEV_SIGNAL, 65), (SIGEV_SIGNAL, -1), (7, SIGUSR1), (-1, SIGUSR1), (SIGEV_THREAD_ID, SIGUSR1)],
    ids=["signal 65", "signal -1", "kind 7", "kind -1", "SIGEV_THREAD_ID"],
)
@clause("mq_notify.einval", "mq_notify(3)", "ERRORS", errno=EINVAL)
def test_what_cannot_be_sent_is_refused(queue, notify, signo):
    """A signal that is none and a way of telling that is none are refused, and nobody is registered."""
    with fails_with(EINVAL):
        mq_notify(queue.fd, notify, signo)
    assert is_free(queue)


@clause("mq_notify.ebadf", "mq_notify(3)", "ERRORS", errno=EBADF)
def test_what_is_no_queue_is_refused(pipe):
    """Neither a descriptor that is not open nor one of something else can be registered through."""
    for fd in (-1, pipe().read_fd):
        with fails_with(EBADF):
            mq_notify(fd, SIGEV_NONE)


@clause("mq_notify.another-users-sender", "mq_notify(3)", "DESCRIPTION")
def test_a_stranger_who_sends_is_told_of(queue, told, fork):
    """Who has registered is told of a message whoever has sent it, also a user who may not signal him."""
    child = told(3)

    def send() -> None:
        become(STRANGER, GROUP)
        mq_send(queue.fd, b"message")

    fork(send).result()
    info = child.result()
    assert (info.uid, info.value) == (STRANGER, 3)

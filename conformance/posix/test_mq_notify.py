"""mq_notify(3), mq_close(3): notification of a message that arrives in an empty queue.

The notified process is a child with one thread, which blocks the signal and waits for it: in a process with several
threads, such as a pytest-xdist worker, another thread would receive it.
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

from pytest_ipc import Child, Fork, Need, clause, fails_with, untested
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
    """Create a queue with a capacity of three messages of up to eight bytes that every user can write to."""
    made = posix_mq(maxmsg=3, msgsize=8)
    os.chmod(made.fd, 0o666)
    return made


@pytest.fixture
def registered(fork: Fork, signals, queue) -> Callable[..., Child[Any]]:
    """Start a child that registers and waits for SIGUSR1:
    registered(value=0, before=...) -> Child. Its result is the SigInfo.
    """

    def start(value: int = 0, before: Callable[[], object] = int) -> Child[Any]:
        def wait_for_signal() -> object:
            signals.block(SIGUSR1)
            mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1, value)
            before()
            return sigtimedwait({SIGUSR1}, 60)

        child = fork(wait_for_signal)
        child.wait_blocked("sigtimedwait")
        return child

    return start


def is_free(queue) -> bool:
    """Return whether no process is registered, by registering and cancelling."""
    try:
        mq_notify(queue.fd, SIGEV_NONE)
    except OSError as error:
        if error.errno != EBUSY:
            raise
        return False
    mq_notify(queue.fd, None)
    return True


@clause("mq_notify.signal-basic", "mq_notify(3)", "DESCRIPTION")
def test_signal_for_a_message_in_an_empty_queue(queue, registered):
    """With SIGEV_SIGNAL the registered process gets the signal when a message arrives in the empty queue."""
    child = registered()
    mq_send(queue.fd, b"message")
    assert child.result().signo == SIGUSR1
    assert mq_receive(queue.fd, 8) == (b"message", 0)


@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.siginfo", "mq_notify(3)", "DESCRIPTION")
def test_signal_carries_sender_and_value(queue, registered, fork):
    """The signal has si_code SI_MESGQ, the sender's pid and real uid, and the registered sigev_value."""
    child = registered(-77)

    def send() -> tuple[int, int]:
        with suppress(OSError):  # then sender and receiver have the same real uid
            os.setresuid(STRANGER, -1, -1)
        mq_send(queue.fd, b"message")
        return os.getpid(), os.getuid()

    sender, user = fork(send).result()
    info = child.result()
    assert (info.code, info.pid, info.uid, info.value) == (SI_MESGQ, sender, user, -77)


@clause("mq_notify.none", "mq_notify(3)", "DESCRIPTION")
def test_sigev_none_sends_no_signal(queue, fork, pipe, signals):
    """With SIGEV_NONE the process is registered, gets no signal, and its registration ends with the message."""
    gate, every = pipe(), set(range(1, 32)) - {9, 19}

    def register_and_wait() -> frozenset[int]:
        signals.block(*every)
        mq_notify(queue.fd, SIGEV_NONE)
        gate.read(1, timeout=None)
        return sigpending()

    child = fork(register_and_wait)
    child.wait_blocked("read")
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"message")
    assert is_free(queue)
    gate.write(b"!")
    assert child.result() == frozenset()


@pytest.mark.usefixtures("nproc_limit")
@clause("mq_notify.thread", "mq_notify(3)", "DESCRIPTION")
def test_sigev_thread_calls_the_function(queue, fork, posix_sem):
    """With SIGEV_THREAD the function is called with its argument in a new thread when a message arrives."""
    try:
        function = cast(CDLL(None).sem_post, c_void_p).value or 0
    except AttributeError:
        untested(Need.LIBC_FUNCTIONS, "needs a C function to be called, and this libc shows no sem_post")
    called, ready = posix_sem(shared=True), posix_sem(shared=True)

    def register_and_wait() -> None:
        mq_notify(queue.fd, SIGEV_THREAD, function=function, argument=called.address)
        ready.post()
        called.wait(timeout=10)

    child = fork(register_and_wait)
    ready.wait(timeout=10)
    child.wait_blocked("futex")
    mq_send(queue.fd, b"message")
    child.result(timeout=15)
    assert called.value == 0


@pytest.mark.usefixtures("nproc_limit")
@clause("mq_notify.thread-attributes", "sigevent(7)", "SIGEV_THREAD")
def test_sigev_thread_uses_the_attributes(queue, fork):
    """With SIGEV_THREAD the thread has the attributes given, such as a stack size."""
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

    assert size - (1 << 20) <= fork(child).result(timeout=30) <= size + (1 << 20)


@pytest.mark.usefixtures("nproc_limit")
@clause("mq_notify.thread-cancelled", "mq_notify(3)", "DESCRIPTION")
def test_cancelled_sigev_thread_calls_nothing(queue, fork):
    """A cancelled SIGEV_THREAD registration calls no function, and the process can register again."""

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

    assert fork(child).result(timeout=30) == ["second"]


@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.ebusy", "mq_notify(3)", "ERRORS", errno=EBUSY)
def test_second_registration_fails(queue, registered):
    """mq_notify() fails with EBUSY while a process is registered, for that process and for others."""

    def again() -> None:
        with fails_with(EBUSY):
            mq_notify(queue.fd, SIGEV_NONE)

    child = registered(1, again)
    for _ in range(2):
        with fails_with(EBUSY):
            mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
    mq_send(queue.fd, b"message")
    assert child.result().value == 1


@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.one-shot", "mq_notify(3)", "DESCRIPTION")
def test_notification_is_sent_once(queue, registered, fork, signals):
    """A notification ends the registration: the next message causes none, and another process can register."""

    def child() -> tuple[int, frozenset[int]]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_send(queue.fd, b"first")
        first = sigtimedwait({SIGUSR1}, 60).signo
        mq_receive(queue.fd, 8)
        mq_send(queue.fd, b"second")
        return first, sigpending()

    assert fork(child).result() == (SIGUSR1, frozenset())
    mq_receive(queue.fd, 8)
    second = registered(2)
    mq_send(queue.fd, b"third")
    assert second.result().value == 2


@clause("mq_notify.only-from-empty", "mq_notify(3)", "DESCRIPTION")
def test_message_in_a_nonempty_queue_is_not_notified(queue, fork, signals):
    """A message that arrives in a queue with messages causes no notification; one in the emptied queue does."""
    mq_send(queue.fd, b"early")

    def child() -> tuple[frozenset[int], int]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_send(queue.fd, b"second")
        before = sigpending()
        for _ in range(2):
            mq_receive(queue.fd, 8)
        mq_send(queue.fd, b"third")
        return before, sigtimedwait({SIGUSR1}, 60).signo

    assert fork(child).result() == (frozenset(), SIGUSR1)


@clause("mq_notify.blocked-receiver-wins", "mq_notify(3)", "DESCRIPTION")
def test_blocked_receiver_takes_precedence(queue, fork, registered):
    """A message for a process blocked in mq_receive() causes no notification, and the registration stays."""
    receiver = fork(mq_receive, queue.fd, 8)
    receiver.wait_blocked("mq_receive")
    child = registered()
    mq_send(queue.fd, b"taken")
    assert receiver.result() == (b"taken", 0)
    child.wait_blocked("sigtimedwait")
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"notified")
    assert child.result().signo == SIGUSR1


@clause("mq_notify.null-unregisters", "mq_notify(3)", "DESCRIPTION")
def test_null_cancels_the_registration(queue, fork, signals):
    """mq_notify() with NULL cancels the caller's registration: no signal is sent, and another process can register."""

    def child() -> frozenset[int]:
        signals.block(SIGUSR1)
        mq_notify(queue.fd, SIGEV_SIGNAL, SIGUSR1)
        mq_notify(queue.fd, None)
        mq_send(queue.fd, b"message")
        return sigpending()

    assert fork(child).result() == frozenset()
    assert is_free(queue)


@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.null-leaves-others", "mq_notify(3)", "DESCRIPTION")
def test_null_keeps_the_registration_of_another(queue, registered):
    """mq_notify() with NULL in a process that is not registered keeps the registration of another."""
    child = registered(5)
    try:
        mq_notify(queue.fd, None)
    except OSError as error:
        if error.errno != EINVAL:  # which POSIX permits here
            raise
    with fails_with(EBUSY):
        mq_notify(queue.fd, SIGEV_NONE)
    mq_send(queue.fd, b"message")
    assert child.result().value == 5


@clause("mq_notify.close-unregisters", "mq_close(3)", "DESCRIPTION")
def test_close_cancels_the_registration(queue, fork, pipe):
    """mq_close() of the descriptor used for registration cancels it, and another process can register."""
    gate = pipe()

    def register_and_close() -> None:
        fd = mq_open(queue.name, O_RDWR)
        mq_notify(fd, SIGEV_NONE)
        gate.read(1, timeout=None)
        mq_close(fd)
        gate.read(1, timeout=None)

    child = fork(register_and_close)
    child.wait_blocked("read")
    assert not is_free(queue)
    gate.write(b"!")
    child.wait_blocked("read")
    assert Deadline(5).until(lambda: is_free(queue))
    gate.write(b"!")
    child.result()


@clause("mq_notify.exit-unregisters", "mq_notify(3)", "DESCRIPTION")
def test_termination_cancels_the_registration(queue, fork):
    """The registration of a killed process ends, and another process can register."""

    def register() -> None:
        mq_notify(queue.fd, SIGEV_NONE)
        pause()

    child = fork(register)
    child.wait_blocked("pause")
    assert not is_free(queue)
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL
    assert is_free(queue)


@pytest.mark.parametrize("signo", [SIGRTMIN, SIGRTMAX], ids=["SIGRTMIN", "SIGRTMAX"])
@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.real-time-signals", "sigevent(7)", "DESCRIPTION")
def test_real_time_signal(queue, fork, signals, signo):
    """mq_notify() with SIGEV_SIGNAL accepts a real-time signal."""

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
def test_invalid_signal_or_method_fails(queue, notify, signo):
    """mq_notify() fails with EINVAL for an invalid signal number or an invalid sigev_notify, and registers nothing."""
    with fails_with(EINVAL):
        mq_notify(queue.fd, notify, signo)
    assert is_free(queue)


@clause("mq_notify.ebadf", "mq_notify(3)", "ERRORS", errno=EBADF)
def test_descriptor_without_queue_fails(pipe):
    """mq_notify() fails with EBADF for a descriptor that is not open or not of a queue."""
    for fd in (-1, pipe().read_fd):
        with fails_with(EBADF):
            mq_notify(fd, SIGEV_NONE)


@clause("mq_notify.another-users-sender", "mq_notify(3)", "DESCRIPTION")
def test_message_of_another_user_is_notified(queue, registered, fork):
    """A message of any user causes a notification, even of one without permission to signal the process."""
    child = registered(3)

    def send() -> None:
        become(STRANGER, GROUP)
        mq_send(queue.fd, b"message")

    fork(send).result()
    info = child.result()
    assert (info.uid, info.value) == (STRANGER, 3)

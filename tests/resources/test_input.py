"""What no object can have is refused with one clear exception, and nothing is made on the way."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

import pytest_ipc
from pytest_ipc import (
    Fifo,
    FileLock,
    Pipe,
    PosixQueue,
    PosixSemaphore,
    Segment,
    SemaphoreSet,
    Signals,
    scope,
    unused_key,
)

from ..leaks import Snapshot

Make = Callable[[], Any]


def lock_of(**where: Any) -> None:
    with FileLock.create(kind="posix") as lock:
        lock.acquire(**where)


REFUSED: dict[str, tuple[Make, type[Exception], str]] = {
    "segment of 0 bytes": (lambda: Segment.create(0), ValueError, "at least 1 byte, not 0"),
    "segment of -1 bytes": (lambda: Segment.create(-1), ValueError, "at least 1 byte, not -1"),
    "segment of 1.5 bytes": (lambda: Segment.create(1.5), TypeError, "integer number of bytes, not 1.5"),  # type: ignore[arg-type]
    "segment of '1' bytes": (lambda: Segment.create("1"), TypeError, "integer number of bytes, not '1'"),  # type: ignore[arg-type]
    "segment of True bytes": (lambda: Segment.create(True), TypeError, "integer number of bytes, not True"),
    "segment too large for C": (lambda: Segment.create(1 << 64), OverflowError, "range of the C type"),
    "key too large": (
        lambda: Segment.create(key=1 << 31),
        ValueError,
        "key must be from -2147483648 to 2147483647 (key_t), not ",
    ),
    "key too small": (
        lambda: Segment.create(key=-(1 << 31) - 1),
        ValueError,
        "key must be from -2147483648 to 2147483647 (key_t), not ",
    ),
    "key of text": (lambda: Segment.create(key="1"), TypeError, "key must be an integer, not '1'"),  # type: ignore[arg-type]
    "key of truth": (lambda: Segment.create(key=True), TypeError, "key must be an integer, not True"),
    "segment mode too large": (lambda: Segment.create(mode=0o1000), ValueError, "between 0 and 0o777, not 0o1000"),
    "segment mode negative": (lambda: Segment.create(mode=-1), ValueError, "between 0 and 0o777, not -0o1"),
    "segment mode of text": (lambda: Segment.create(mode="600"), TypeError, "permission bits"),  # type: ignore[arg-type]
    "segment flags too large": (lambda: Segment.create(flags=1 << 31), OverflowError, "range of the C type"),
    "set of 0": (lambda: SemaphoreSet.create(0), ValueError, "at least 1 semaphore, not 0"),
    "set of -1": (lambda: SemaphoreSet.create(-1), ValueError, "at least 1 semaphore, not -1"),
    "set of 1.5": (lambda: SemaphoreSet.create(1.5), TypeError, "semaphores must be an integer, not 1.5"),  # type: ignore[arg-type]
    "set of True": (lambda: SemaphoreSet.create(True), TypeError, "semaphores must be an integer, not True"),
    "set too large for C": (lambda: SemaphoreSet.create(1 << 31), OverflowError, "range of the C type"),
    "set too large": (lambda: SemaphoreSet.create((1 << 31) - 1), OSError, "semget: Invalid argument"),
    "too few values": (lambda: SemaphoreSet.create(2, values=[1]), ValueError, "expected 2 values, got 1"),
    "value of text": (lambda: SemaphoreSet.create(values=["1"]), TypeError, "argument must be an integer, not str '1'"),  # type: ignore[list-item]
    "value below 0": (lambda: SemaphoreSet.create(values=[-1]), OverflowError, "range of the C type"),
    "value too large for C": (lambda: SemaphoreSet.create(values=[65536]), OverflowError, "range of the C type"),
    "value too large": (lambda: SemaphoreSet.create(values=[32768]), OSError, "semctl: Numerical result out of range"),
    "set's key too large": (
        lambda: SemaphoreSet.create(key=1 << 31),
        ValueError,
        "key must be from -2147483648 to 2147483647 (key_t), not ",
    ),
    "set's key of text": (lambda: SemaphoreSet.create(key="1"), TypeError, "key must be an integer, not '1'"),  # type: ignore[arg-type]
    "set's mode too large": (lambda: SemaphoreSet.create(mode=0o1000), ValueError, "between 0 and 0o777, not 0o1000"),
    "set's flags too large": (lambda: SemaphoreSet.create(flags=1 << 31), OverflowError, "range of the C type"),
    "pipe of 0 bytes": (lambda: Pipe.create(capacity=0), ValueError, "at least 1 byte, not 0"),
    "pipe of -1 bytes": (lambda: Pipe.create(capacity=-1), ValueError, "at least 1 byte, not -1"),
    "pipe of True bytes": (lambda: Pipe.create(capacity=True), TypeError, "integer number of bytes"),
    "pipe of 4 GiB": (lambda: Pipe.create(capacity=1 << 32), OverflowError, "range of the C type"),
    "pipe too large for C": (lambda: Pipe.create(capacity=1 << 70), OverflowError, "range of the C type"),
    "pipe flags too large": (lambda: Pipe.create(flags=1 << 40), OverflowError, "range of the C type"),
    "pipe flags unknown": (lambda: Pipe.create(flags=0o7), OSError, "pipe2: Invalid argument"),
    "FIFO mode too large": (lambda: Fifo.create(mode=0o1777), ValueError, "between 0 and 0o777, not 0o1777"),
    "FIFO mode negative": (lambda: Fifo.create(mode=-1), ValueError, "between 0 and 0o777"),
    "FIFO mode of truth": (lambda: Fifo.create(mode=True), TypeError, "permission bits"),
    "FIFO path with a NUL": (lambda: Fifo.create(path="fifo\0x"), ValueError, "cannot be the path of a FIFO"),
    "FIFO path in bytes with a NUL": (lambda: Fifo.create(path=b"f\0"), ValueError, "cannot be the path"),  # type: ignore[arg-type]
    "FIFO path empty": (lambda: Fifo.create(path=""), ValueError, "cannot be the path of a FIFO"),
    "FIFO path of a number": (lambda: Fifo.create(path=7), TypeError, "str, bytes or os.PathLike"),  # type: ignore[arg-type]
    "FIFO path too long": (lambda: Fifo.create(path="x" * 300), OSError, "File name too long"),
    "lock of no kind": (lambda: FileLock.create(kind="lockf"), ValueError, "kind must be one of flock, posix, ofd"),
    "lock path with a NUL": (lambda: FileLock.create("a\0b"), ValueError, "cannot be the path of a lock file"),
    "lock path empty": (lambda: FileLock.create(""), ValueError, "cannot be the path of a lock file"),
    "lock path of a number": (lambda: FileLock.create(7), TypeError, "str, bytes or os.PathLike"),  # type: ignore[arg-type]
    "lock path too long": (lambda: FileLock.create("x" * 300), OSError, "File name too long"),
    "lock path in no directory": (lambda: FileLock.create("no/lock"), FileNotFoundError, "No such file"),
    "lock path of a directory": (lambda: FileLock.create("."), IsADirectoryError, "Is a directory"),
    "lock flags unknown": (lambda: FileLock.create(flags=os.O_DIRECTORY), NotADirectoryError, "Not a directory"),
    "lock start of text": (lambda: lock_of(start="1"), TypeError, "start must be an integer number of bytes, not '1'"),
    "lock length of truth": (lambda: lock_of(length=True), TypeError, "length must be an integer number"),
    "lock start negative": (lambda: lock_of(start=-1), ValueError, "must be a non-negative number of bytes, not -1"),
    "lock start too large for C": (lambda: lock_of(start=1 << 63), OverflowError, "range of the C type"),
    "lock length too large for C": (lambda: lock_of(length=-1 << 64), OverflowError, "range of the C type"),
    "lock of bytes before the first": (lambda: lock_of(start=2, length=-3), OSError, "fcntl: Invalid argument"),
    "semaphore of -1": (lambda: PosixSemaphore.create(-1), ValueError, "at least 0, not -1"),
    "semaphore of True": (lambda: PosixSemaphore.create(True), TypeError, "must be an integer, not True"),
    "semaphore of 1.5": (lambda: PosixSemaphore.create(1.5), TypeError, "must be an integer, not 1.5"),  # type: ignore[arg-type]
    "semaphore above the greatest": (lambda: PosixSemaphore.create(1 << 31), OSError, "sem_init: Invalid argument"),
    "semaphore too large for C": (lambda: PosixSemaphore.create(1 << 32), OverflowError, "range of the C type"),
    "unnamed semaphore too large": (
        lambda: PosixSemaphore.create(1 << 31, shared=True),
        OSError,
        "sem_init: Invalid argument",
    ),
    "semaphore shared and named": (
        lambda: PosixSemaphore.create(name="/x", shared=True),
        ValueError,
        "must not have a name",
    ),
    "semaphore name without a slash": (lambda: PosixSemaphore.create(name="x"), ValueError, "name of a semaphore"),
    "semaphore name with two": (lambda: PosixSemaphore.create(name="/x/y"), ValueError, "name of a semaphore"),
    "semaphore name of a slash": (lambda: PosixSemaphore.create(name="/"), ValueError, "name of a semaphore"),
    "semaphore name with a NUL": (lambda: PosixSemaphore.create(name="/x\0"), ValueError, "it must not contain a NUL"),
    "semaphore name too long": (
        lambda: PosixSemaphore.create(name="/" + "x" * 252),
        ValueError,
        "the limit is 251 (NAME_MAX - 4)",
    ),
    "semaphore name of bytes": (lambda: PosixSemaphore.create(name=b"/x"), TypeError, "must be a string like"),  # type: ignore[arg-type]
    "semaphore mode too large": (lambda: PosixSemaphore.create(mode=0o1000), ValueError, "between 0 and 0o777"),
    "semaphore flags unknown": (lambda: PosixSemaphore.create(flags=os.O_APPEND), ValueError, "O_CREAT and O_EXCL"),
    "queue of no messages": (lambda: PosixQueue.create(maxmsg=0), ValueError, "at least 1"),
    "queue of True messages": (lambda: PosixQueue.create(maxmsg=True), TypeError, "must be an integer"),
    "queue of messages of no bytes": (lambda: PosixQueue.create(msgsize=0), ValueError, "at least 1"),
    "queue of messages of 1.5 bytes": (lambda: PosixQueue.create(msgsize=1.5), TypeError, "not 1.5"),  # type: ignore[arg-type]
    "queue of too many messages": (lambda: PosixQueue.create(maxmsg=1 << 30), OSError, "mq_open: "),
    "queue too large for C": (lambda: PosixQueue.create(maxmsg=1 << 63), OverflowError, "range of the C type"),
    "queue name without a slash": (lambda: PosixQueue.create(name="x"), ValueError, "name of a message queue"),
    "queue name with two": (lambda: PosixQueue.create(name="//x"), ValueError, "name of a message queue"),
    "queue name with a NUL": (lambda: PosixQueue.create(name="/x\0"), ValueError, "it must not contain a NUL"),
    "queue name too long": (lambda: PosixQueue.create(name="/" + "x" * 256), ValueError, "the limit is 255 (NAME_MAX)"),
    "queue name of a number": (lambda: PosixQueue.create(name=7), TypeError, "must be a string like"),  # type: ignore[arg-type]
    "queue mode negative": (lambda: PosixQueue.create(mode=-1), ValueError, "between 0 and 0o777"),
    "queue flags unknown": (
        lambda: PosixQueue.create(flags=os.O_APPEND),
        ValueError,
        "flags of a queue must not contain",
    ),
    "FIFO path in no directory": (lambda: Fifo.create(path="no/fifo"), FileNotFoundError, "mkfifo"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_arguments_of_objects_are_rejected(case, tmp_path, temporary_root, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, error, text = REFUSED[case]
    before = Snapshot.take(temporary_root)
    with pytest.raises(error, match=re.escape(text)):
        make()
    assert before.left(Snapshot.take(temporary_root)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("timeout", "error", "text"),
    [
        (-1, ValueError, "non-negative number of seconds or None, not -1"),
        (-0.001, ValueError, "non-negative number of seconds or None, not -0.001"),
        (math.nan, ValueError, "non-negative number of seconds or None, not nan"),
        (-math.inf, ValueError, "non-negative number of seconds or None, not -inf"),
        ("1", TypeError, "seconds or None, not '1'"),
        (True, TypeError, "seconds or None, not True"),
    ],
)
def test_invalid_timeout_is_rejected(timeout, error, text, temporary_root):
    with scope() as ipc:
        fifo, signals, child, lock = ipc.fifo(), ipc.signals, ipc.fork(int), ipc.file_lock()
        semaphore, queue = ipc.posix_sem(1), ipc.posix_mq(maxmsg=1, msgsize=8)
        child.wait()
        caught = signals.catch(10)
        counter, timer, word, semaphores = ipc.eventfd(1), ipc.timerfd(), ipc.futex(), ipc.sysv_sem()
        before = Snapshot.take(temporary_root)
        for wait in (
            lambda: fifo.open_reader(timeout=timeout),
            lambda: fifo.open_writer(timeout=timeout),
            lambda: semaphore.wait(timeout=timeout),
            lambda: queue.receive(timeout=timeout),
            lambda: queue.send(b"", 0, timeout=timeout),
            lambda: lock.acquire(timeout=timeout),
            lambda: semaphores.op((0, 0), timeout=timeout),
            lambda: semaphores.acquire(timeout=timeout),
            lambda: semaphores.wait_for_zero(timeout=timeout),
            lambda: semaphores.held(timeout=timeout).__enter__(),
            lambda: signals.wait(10, timeout=timeout),
            lambda: caught.wait(timeout=timeout),
            lambda: counter.read(timeout=timeout),
            lambda: counter.write(timeout=timeout),
            lambda: timer.read(timeout=timeout),
            lambda: word.wait(0, timeout=timeout),
            lambda: child.wait(timeout=timeout),
            lambda: child.result(timeout=timeout),
            lambda: child.wait_blocked("read", timeout=timeout),
            lambda: child.wait_state("T", timeout=timeout),
        ):
            with pytest.raises(error, match=text):
                wait()
        assert before.left(Snapshot.take(temporary_root)) == []


def test_a_closed_object_is_refused():
    with scope() as ipc:
        segment, pipe, fifo, signals, child = ipc.sysv_shm(), ipc.pipe(), ipc.fifo(), ipc.signals, ipc.fork(int)
        attachment = segment.attach()
        lock, semaphores = ipc.file_lock(), ipc.sysv_sem()
        semaphore, queue = ipc.posix_sem(), ipc.posix_mq(maxmsg=1, msgsize=8)
        reader, writer = pipe.reader, pipe.writer
    uses: dict[str, list[Make]] = {
        "Segment id=": [
            segment.attach,
            segment.stat,
            lambda: segment.set_status(mode=0o600),
            lambda: segment.control(pytest_ipc.kernel.SHM_LOCK),
        ],
        "SemaphoreSet id=": [
            lambda: semaphores.op((0, 1)),
            semaphores.acquire,
            semaphores.release,
            semaphores.wait_for_zero,
            lambda: semaphores.held().__enter__(),
            lambda: semaphores.values,
            lambda: setattr(semaphores, "values", [1]),
            semaphores.value,
            lambda: semaphores.set_value(1),
            semaphores.waiters,
            semaphores.zero_waiters,
            semaphores.last_pid,
            semaphores.stat,
            lambda: semaphores.set_status(mode=0o600),
        ],
        "Attachment of": [attachment.detach, lambda: attachment.buf],
        "read end of a pipe": [reader.fileno, lambda: reader.fd, pipe.read, lambda: pipe.read_fd, reader.read],
        "write end of a pipe": [lambda: pipe.write(b"x"), lambda: pipe.capacity, lambda: writer.write(b"x")],
        "PosixSemaphore ": [
            semaphore.post,
            semaphore.wait,
            lambda: semaphore.wait(timeout=0),
            semaphore.try_wait,
            lambda: semaphore.value,
        ],
        "PosixQueue ": [
            queue.fileno,
            lambda: queue.fd,
            lambda: queue.send(b""),
            queue.receive,
            lambda: queue.attributes,
            lambda: queue.set_blocking(True),
            lambda: queue.notify(10),
            queue.cancel_notify,
        ],
        "Fifo ": [fifo.open_reader, fifo.open_writer],
        "flock lock of ": [
            lock.fileno,
            lambda: lock.fd,
            lock.acquire,
            lock.try_acquire,
            lock.release,
            lock.test,
            lock.take_lease,
            lock.picture,
        ],
        "Signals": [
            lambda: signals.catch(10),
            lambda: signals.ignore(10),
            lambda: signals.default(10),
            lambda: signals.block(10),
            lambda: signals.unblock(10),
            lambda: signals.queue(os.getpid(), 0),
            lambda: signals.wait(10),
            signals.pending,
        ],
        "child ": [
            child.result,
            child.wait,
            child.wait_blocked,
            lambda: child.wait_state("Z"),
            lambda: child.signal(0),
            lambda: child.output,
        ],
    }
    for name, calls in uses.items():
        for use in calls:
            with pytest.raises(ValueError, match=f"<{name}.* is closed"):
                use()
    for thing in (segment, attachment, semaphores, pipe, reader, fifo, lock, signals, child):
        assert thing.closed
        thing.close()


def test_function_of_a_child_must_be_callable(temporary_root):
    before = Snapshot.take(temporary_root)
    with scope() as ipc:
        with pytest.raises(TypeError, match="function must be callable, not 7"):
            ipc.fork(7)  # type: ignore[call-overload]
        assert before.left(Snapshot.take(temporary_root)) == []


@pytest.mark.parametrize(
    ("signo", "text"),
    [(0, "from 1 to 64 .* not 0"), (65, "from 1 to 64 .* not 65"), (9, "signal must not be SIGKILL")],
)
def test_invalid_signal_cannot_be_caught(signo, text):
    with Signals.create() as signals:
        for change in (signals.catch, signals.ignore, signals.default, signals.block):
            with pytest.raises(ValueError, match=text):
                change(signo)


def test_existing_key_fails_and_is_kept():
    with Segment.create(key=unused_key()) as first:
        with pytest.raises(FileExistsError) as caught:
            Segment.create(key=first.key)
        assert f"with key {first.key:#x} of 4096 bytes" in caught.value.__notes__[0]
        assert first.exists()

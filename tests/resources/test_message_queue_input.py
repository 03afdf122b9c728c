"""What no message queue can have and no message can be is refused with one clear exception, and nothing is changed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import MessageQueue
from pytest_ipc.kernel import IPC_NOWAIT


@pytest.fixture
def queue():
    with MessageQueue.create() as queue:
        yield queue


def test_error_of_a_queue_has_its_name(queue):
    for type in (0, -1):
        with pytest.raises(OSError, match="msgsnd: Invalid argument") as failure:
            queue.send(b"text", type)
        assert failure.value.__notes__ == [
            f"while sending 4 bytes to {queue!r}",
            f"the type of a message must be at least 1, not {type}",
        ]
    assert queue.stat().qnum == 0


REFUSED: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "a text of characters": (lambda queue: queue.send("text"), TypeError, "bytes-like object is required, not 'str'"),
    "a text of a number": (lambda queue: queue.send(5), TypeError, "bytes-like object is required, not 'int'"),
    "a type of text": (
        lambda queue: queue.send(b"", "1"),
        TypeError,
        "msgsnd: argument must be an integer, not str '1'",
    ),
    "a type too large": (lambda queue: queue.send(b"", 1 << 63), OverflowError, "range of the C type"),
    "flags too large": (lambda queue: queue.send(b"", flags=1 << 31), OverflowError, "range of the C type"),
    "no waiting, and for a time": (
        lambda queue: queue.send(b"", 1, IPC_NOWAIT, timeout=1),
        ValueError,
        "timeout must not be given with IPC_NOWAIT",
    ),
    "the same of receiving": (
        lambda queue: queue.receive(0, 1, IPC_NOWAIT, timeout=0),
        ValueError,
        "timeout must not be given with IPC_NOWAIT",
    ),
    "asked for a type of text": (
        lambda queue: queue.receive("1"),
        TypeError,
        "msgrcv: argument must be an integer, not str '1'",
    ),
    "asked for a type too small": (lambda queue: queue.receive(-(1 << 63) - 1), OverflowError, "range of the C type"),
    "a size below 0": (lambda queue: queue.receive(size=-1), OverflowError, "range of the C type"),
    "a size of text": (
        lambda queue: queue.receive(size="1"),
        TypeError,
        "msgrcv: argument must be an integer, not str '1'",
    ),
    "a size too large": (lambda queue: queue.receive(size=1 << 64), OverflowError, "range of the C type"),
    "a mode too large": (lambda queue: queue.set_status(mode=0o1000), ValueError, "between 0 and 0o777, not 0o1000"),
    "a mode of text": (lambda queue: queue.set_status(mode="600"), TypeError, "permission bits"),
    "room below 0": (lambda queue: queue.set_status(qbytes=-1), OverflowError, "range of the C type"),
    "room of 1.5 bytes": (
        lambda queue: queue.set_status(qbytes=1.5),
        TypeError,
        "msgctl: argument must be an integer, not float 1.5",
    ),
    "a user below 0": (lambda queue: queue.set_status(uid=-1), OverflowError, "range of the C type"),
    "a group too large": (lambda queue: queue.set_status(gid=1 << 32), OverflowError, "range of the C type"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_message_is_rejected(queue, case):
    queue.send(b"there", 3)
    before = queue.stat()
    use, error, text = REFUSED[case]
    with pytest.raises(error, match=re.escape(text)):
        use(queue)
    assert queue.stat() == before


NEVER: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a key too large": (
        lambda: MessageQueue.create(key=1 << 31),
        ValueError,
        "key must be from -2147483648 to 2147483647 (key_t), not ",
    ),
    "a key of text": (lambda: MessageQueue.create(key="1"), TypeError, "key must be an integer"),  # type: ignore[arg-type]
    "a mode too large": (lambda: MessageQueue.create(mode=0o1000), ValueError, "between 0 and 0o777, not 0o1000"),
    "a mode of truth": (lambda: MessageQueue.create(mode=True), TypeError, "permission bits"),
    "flags too large": (lambda: MessageQueue.create(flags=1 << 31), OverflowError, "range of the C type"),
}


@pytest.mark.parametrize("case", NEVER)
def test_invalid_queue_arguments_are_rejected(case):
    make, error, text = NEVER[case]
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_invalid_timeout_of_a_queue_is_rejected(queue, timeout, error):
    queue.send(b"there")
    before = queue.stat()
    for call in (queue.receive, lambda timeout: queue.send(b"more", timeout=timeout)):
        with pytest.raises(error, match=r"timeout must be a (non-negative )?number of seconds"):
            call(timeout=timeout)
    assert queue.stat() == before


def test_a_closed_queue_is_refused():
    queue = MessageQueue.create()
    queue.close()
    for use in (queue.receive, lambda: queue.send(b""), queue.stat, lambda: queue.set_status(mode=0o600)):
        with pytest.raises(ValueError, match=r"<MessageQueue id=.* is closed"):
            use()
    queue.close()


def test_existing_key_is_reported(queue):
    queue.send(b"there")
    with pytest.raises(FileExistsError) as failure:
        MessageQueue.create(key=queue.key)
    assert f"with key {queue.key:#x}" in failure.value.__notes__[0]
    assert queue.receive() == (1, b"there")

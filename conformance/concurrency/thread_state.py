"""The state of a thread of another process and the system call in which it sleeps, read from /proc at every glance."""

from __future__ import annotations

import os

from pytest_ipc.kernel import numbers_of

__all__ = ["sleeps_in", "state", "waits_for_interpreter"]


def state(pid: int, thread: int) -> str:
    """Return the state letter of a thread; "" if the kernel does not show it."""
    text = _read(f"/proc/{pid}/task/{thread}/stat")
    return text[text.rindex(b")") + 2 :][:1].decode() if text else ""


def sleeps_in(pid: int, thread: int, call: str | None) -> bool:
    """Return whether the kernel shows the thread in this system call."""
    words = _read(f"/proc/{pid}/task/{thread}/syscall").split() if call is not None else []
    return bool(words) and words[0].isdigit() and call is not None and int(words[0]) in numbers_of(call)


def waits_for_interpreter(pid: int, thread: int) -> bool:
    """Return whether the thread sleeps in a futex(2) with a timeout: its call is over, and it waits for the GIL."""
    words = _read(f"/proc/{pid}/task/{thread}/syscall").split()
    return len(words) > 4 and words[0].isdigit() and int(words[0]) in numbers_of("futex") and int(words[4], 16) != 0


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)

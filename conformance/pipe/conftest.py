"""Fixtures of the pipe clauses: a full pipe, the number of unread bytes, a reader that reads to end of file."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Pipe
from pytest_ipc.kernel import getpipe_size, write


@pytest.fixture
def fill(page: int) -> Callable[[int], int]:
    """Write zeros until the pipe is full: fill(fd) -> number of
    bytes written. The flags of the descriptor are restored.
    """

    def until_full(fd: int) -> int:
        capacity, blocking, count, size = getpipe_size(fd), os.get_blocking(fd), 0, page
        os.set_blocking(fd, False)
        while size and count <= capacity:  # ends the loop if the kernel accepts more than the capacity
            written = 0
            with suppress(BlockingIOError):
                written = write(fd, bytes(size))
            count += written
            if not written:
                size //= 2
        os.set_blocking(fd, blocking)
        return count

    return until_full


@pytest.fixture
def unread() -> Callable[[int], int]:
    """Return the number of unread bytes, asked at either end with FIONREAD: unread(fd)."""

    def count(fd: int) -> int:
        number = array("i", [-1])
        ioctl(fd, FIONREAD, number)
        return number[0]

    return count


@pytest.fixture
def drain(fork: Fork) -> Callable[[Pipe], Child[Any]]:
    """Start a child that reads to end of file: drain(pipe) -> Child. It closes its write end and returns the data."""

    def start(pipe: Pipe) -> Child[Any]:
        def to_the_end() -> bytes:
            pipe.close_write()
            return b"".join(iter(pipe.read, b""))

        return fork(to_the_end)

    return start


@pytest.fixture
def opened_file() -> Iterator[Callable[[Path, int], int]]:
    """Open a file: opened_file(path, flags) -> descriptor, closed with the test."""
    with ExitStack() as ends:

        def open_one(path: Path, flags: int) -> int:
            fd = os.open(path, flags)
            ends.callback(os.close, fd)
            return fd

        yield open_one

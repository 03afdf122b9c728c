"""A channel between two processes: what each mechanism provides to be measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from ...api import Ipc

__all__ = ["BUILTIN", "MEMORY", "NATIVE", "Channel", "End", "NotMeasured", "Opening", "Setting"]

# The ways in which Python makes a call; each costs a different time (floor.py).
BUILTIN = "builtin"  # a function of os, written in C
NATIVE = "native"  # a function of libc, through ctypes
MEMORY = "memory"  # no call: one side of a message through shared memory


class NotMeasured(Exception):
    """The reason why a mechanism cannot carry a message of a size; `ends_all` if no other size is to be tried."""

    def __init__(self, reason: str, *, ends_all: bool = False) -> None:
        super().__init__(reason)
        self.ends_all = ends_all


@dataclass(frozen=True)
class Setting:
    """What a channel is made of: the owner of its objects, clean-up beyond them, and the message of each transfer."""

    ipc: Ipc
    undo: ExitStack
    message: bytes

    @property
    def size(self) -> int:
        """The bytes of the message."""
        return len(self.message)


@dataclass(frozen=True)
class End:
    """One end: `send` sends the message, `receive` takes one, whole, and `received` returns the last one taken.

    A process that only sends, many messages in a row, uses `stream_send`; the other one `stream_receive`.
    """

    send: Callable[[], None]
    receive: Callable[[], None]
    received: Callable[[], bytes]
    stream_send: Callable[[], None] | None = None
    stream_receive: Callable[[], None] | None = None


@dataclass
class Channel:
    """Both ends. The calls are those of one message at least, by way of calling; `pieces` are those of a message.

    `carries_data` is false for mechanisms that only notify: they have no bandwidth. `started` is called with the pid of
    the other process.
    """

    ours: End
    peers: End
    send_calls: Mapping[str, int]
    receive_calls: Mapping[str, int]
    pieces: int = 1
    carries_data: bool = True
    started: Callable[[int], None] = lambda _pid: None


class Opening(Protocol):
    """Open a channel for a message. OSError, NotMeasured."""

    def __call__(self, setting: Setting) -> Channel: ...

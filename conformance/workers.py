"""Worker processes that live through many histories and make one call after another on request.

A fork for every step of a model would take longer than all steps. A worker is forked once; requests (a function and its
arguments) and replies pass over a socket that preserves message boundaries. Both carry the number of the request, so
that a late reply is not taken for that of a later request.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from pytest_ipc import Fork, untested
from pytest_ipc.kernel import Deadline
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way, need_of

# Seconds until a call is reported as hanging.
PATIENCE = 10.0
_LONGEST = 1 << 20
# One message at a time, in each process; recv() of this size would map, shrink and unmap memory at every call.
_BUFFER = bytearray(_LONGEST)


class Worker:
    """A forked worker process: `do` a call, or `begin` one that may block and `end` it later."""

    def __init__(self, fork: Fork, name: str) -> None:
        self.name = name
        try:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
            self.child = fork(_obey, theirs)
        except OSError as error:
            if limit := limit_in_the_way(error):
                untested(need_of(limit), f"a documented limit is in the way: {limit}")
            raise
        theirs.close()
        self._call = ""
        self._request = 0

    def __repr__(self) -> str:
        return self.name

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        """Begin a call in the worker. The function must be importable."""
        self._call = f"{function.__name__} in {self.name}"
        self._request += 1
        try:
            self._socket.send(pickle.dumps((self._request, function, args)))
        except BrokenPipeError:
            self._ended()

    def end(self) -> Any:
        """Return the result of the call begun, or raise its OSError. TimeoutError if it does not return."""
        deadline, request = Deadline(PATIENCE), 0
        while request != self._request:
            self._socket.settimeout(max(deadline.left, 0.001))  # 0 would mean non-blocking
            try:
                size = self._socket.recv_into(_BUFFER)
            except TimeoutError:
                raise TimeoutError(f"{self._call} did not return within {PATIENCE} s") from None
            if not size:
                self._ended()
            request, raised, value = pickle.loads(memoryview(_BUFFER)[:size])
        if raised:
            raise value
        return value

    def _ended(self) -> NoReturn:
        self.child.result()  # raises the cause of the termination
        raise EOFError(f"{self.name} has ended")

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Make a call in the worker and return its result."""
        self.begin(function, *args)
        return self.end()

    def call(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Return a function that makes the call, for a step of a model."""
        return partial(self.do, function, *args)

    def close(self) -> None:
        """Let the worker exit. Others may hold copies of the socket, so that close() alone would not be end of file."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()


def _obey(commands: socket.socket) -> None:
    while size := commands.recv_into(_BUFFER):
        request, function, args = pickle.loads(memoryview(_BUFFER)[:size])
        try:
            answer = (request, False, function(*args))
        except OSError as error:
            answer = (request, True, error)
        commands.send(pickle.dumps(answer))
    os._exit(0)

"""Peers: actors that live through many histories and do one call after another, as they are told.

To fork a process for every step of a model would take longer than all the steps together. A peer is forked once; what it is
to do goes to it as a function and its arguments, what came of it comes back, over a socket that keeps messages apart. Both
carry the number of the request: an answer that came too late for its own request is never taken for that of a later one.
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
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way

# A call that is to return and does not is a hang of the platform; the clause ends by then, and says which call it was.
PATIENCE = 10.0
_LONGEST = 1 << 20
# For one message at a time, in each process its own. To ask recv(2) for as much would map, shrink and unmap it every time.
_ROOM = bytearray(_LONGEST)


class Peer:
    """A forked process that obeys: `do` a call, or `begin` one that may block and ask later for what came of it."""

    def __init__(self, fork: Fork, name: str) -> None:
        self.name = name
        try:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
            self.actor = fork(_obey, theirs)
        except OSError as error:
            if limit := limit_in_the_way(error):
                untested(f"a documented limit is in the way: {limit}")
            raise
        theirs.close()
        self._call = ""
        self._request = 0

    def __repr__(self) -> str:
        return self.name

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        """Let the peer begin a call. The function must be one that can be imported."""
        self._call = f"{function.__name__} in {self.name}"
        self._request += 1
        try:
            self._socket.send(pickle.dumps((self._request, function, args)))
        except BrokenPipeError:
            self._ended()

    def end(self) -> Any:
        """What came of the call that was begun; its OSError is raised here. TimeoutError when it does not return."""
        deadline, request = Deadline(PATIENCE), 0
        while request != self._request:
            self._socket.settimeout(max(deadline.left, 0.001))  # 0 would be not to wait, and not even for what is there
            try:
                size = self._socket.recv_into(_ROOM)
            except TimeoutError:
                raise TimeoutError(f"{self._call} did not return within {PATIENCE} s") from None
            if not size:
                self._ended()
            request, raised, value = pickle.loads(memoryview(_ROOM)[:size])
        if raised:
            raise value
        return value

    def _ended(self) -> NoReturn:
        self.actor.result()  # raises what the process has died of
        raise EOFError(f"{self.name} has ended")

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Let the peer make a call, and wait for what comes of it."""
        self.begin(function, *args)
        return self.end()

    def call(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """The same as a step of a model, which makes the call when it is its turn."""
        return partial(self.do, function, *args)

    def close(self) -> None:
        """Let the peer end by itself. Others may have copies of the socket: closing it alone would not be end of file."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()


def _obey(commands: socket.socket) -> None:
    while size := commands.recv_into(_ROOM):
        request, function, args = pickle.loads(memoryview(_ROOM)[:size])
        try:
            answer = (request, False, function(*args))
        except OSError as error:
            answer = (request, True, error)
        commands.send(pickle.dumps(answer))
    os._exit(0)

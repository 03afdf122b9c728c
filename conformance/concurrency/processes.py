"""The processes of a crew: started when a history needs them, killed, and kept as zombies until it is recorded."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import NoReturn

from pytest_ipc.resource import COULD_NOT_MAKE

from .board import Board
from .plan import processes_of
from .worker import FAILED, live, receive
from .workload import Workload

__all__ = ["Process", "Processes", "raise_failure"]


@dataclass
class Process:
    """A process with the sockets of its workers; `dead` and `killed` are times of one clock."""

    pid: int
    sockets: list[socket.socket]
    dead: int | None = None  # time when it was found dead
    killed: int | None = None  # time of its SIGKILL

    def kill(self) -> None:
        """Kill the process and wait until the kernel has cleaned up after it. It stays a zombie and keeps its PID."""
        if self.dead is None:
            self.killed = self.killed or monotonic_ns()
            os.kill(self.pid, signal.SIGKILL)
            self.note_death()

    def note_death(self) -> None:
        """Wait for the death of the process and note the time."""
        with suppress(ChildProcessError):  # where SIGCHLD is ignored
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.dead = monotonic_ns()

    def is_zombie(self) -> bool:
        """Return whether the process has ended."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def raise_reported(self) -> None:
        """Raise the error that a dead worker has reported, if any."""
        for worker in self.sockets:
            with suppress(BlockingIOError, ConnectionResetError):  # it reported none
                if worker.recv(1, socket.MSG_DONTWAIT) == FAILED:
                    raise_failure(worker)


class Processes:
    """The processes of a layout, each by its place. A worker's number counts those of all processes."""

    def __init__(self, workload: Workload, layout: tuple[int, ...], board: Board) -> None:
        self._workload = workload
        self._layout = layout
        self._board = board
        self._places = processes_of(layout)
        self._running: list[Process | None] = [None] * len(layout)

    def start(self) -> None:
        """Start the processes that are missing. OSError."""
        for place, process in enumerate(self._running):
            if process is None:
                self._running[place] = self._start(place)

    def _start(self, place: int) -> Process:
        first = sum(self._layout[:place])
        pairs = [socket.socketpair() for _ in range(self._layout[place])]
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            error.add_note(COULD_NOT_MAKE)
            raise
        if pid == 0:
            for process in self._running:
                for ours in process.sockets if process else ():
                    ours.close()
            for ours, _ in pairs:
                ours.close()
            live(self._workload, self._board, first, [theirs for _, theirs in pairs], parent)
        for _, theirs in pairs:
            theirs.close()
        return Process(pid, [ours for ours, _ in pairs])

    def close(self) -> None:
        """Kill and reap all processes."""
        for place, process in enumerate(self._running):
            if process is not None:
                process.kill()
                self._forget(place)

    def forget_dead(self) -> None:
        """Reap the dead processes; start() starts others."""
        for place, process in self.running():
            if process.dead is not None:
                self._forget(place)

    def _forget(self, place: int) -> None:
        process = self._running[place]
        if process is not None:
            with suppress(ChildProcessError):  # where SIGCHLD is ignored
                os.waitpid(process.pid, 0)
            for each in process.sockets:
                each.close()
        self._running[place] = None

    def running(self) -> list[tuple[int, Process]]:
        """Return the processes that are not reaped, dead ones included, with their places."""
        return [(place, process) for place, process in enumerate(self._running) if process is not None]

    def place(self, worker: int) -> int:
        """Return the place of a worker's process."""
        return self._places[worker]

    def of(self, worker: int) -> Process:
        """Return the process of a worker."""
        process = self._running[self._places[worker]]
        assert process is not None
        return process

    def beside(self, worker: int) -> set[int]:
        """Return the workers of a worker's process, itself included."""
        return {other for other, place in enumerate(self._places) if place == self._places[worker]}

    def socket(self, worker: int) -> socket.socket:
        """Return the socket to a worker."""
        first = sum(self._layout[: self._places[worker]])
        return self.of(worker).sockets[worker - first]


def raise_failure(worker: socket.socket) -> NoReturn:
    """Raise the error for which a worker could not begin."""
    error = OSError(*receive(worker)[0])
    error.add_note(COULD_NOT_MAKE)
    raise error

"""A worker: a process, or one of its threads, that executes the programs it receives and records them on the board."""

from __future__ import annotations

import gc
import marshal
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import CDLL
from errno import EAGAIN, EIO, EMFILE, ENOMEM
from functools import partial
from typing import Any, NoReturn

from pytest_ipc.kernel.proc import process_state
from pytest_ipc.kernel.process import PR_SET_PDEATHSIG, prctl
from pytest_ipc.kernel.signals import tgkill

from .board import DONE, Board
from .workload import Here, Workload

__all__ = ["DISTURBANCE", "FAILED", "live", "receive", "send"]

# What a worker says when it has come to the end of its program; and when it could not begin, before the error.
ENDED, FAILED = b".", b"!"

DISTURBANCE = signal.SIGUSR1  # caught by every worker, without effect but EINTR
_yield = CDLL(None).sched_yield  # os.sched_yield keeps the GIL on Python 3.11

# How often a worker checks for the others before it begins a call without them; one in a call may sleep.
_ROUNDS_IN_CALL = 40
_ROUNDS = 2000
_MOST = 16  # descriptors in one message
_SPINS = 300  # of these without yielding the CPU, where every worker has its own


def send(to: socket.socket, message: Any, fds: Sequence[int] = ()) -> None:
    """Send a message that marshal can write, and copies of descriptors."""
    data = marshal.dumps(message)
    socket.send_fds(to, [len(data).to_bytes(4, "little")], fds)
    to.sendall(data)


def receive(source: socket.socket) -> tuple[Any, tuple[int, ...]]:
    """Receive a message and descriptors; None at end of file. OSError if the process can hold no more descriptors."""
    head, fds, flags, _ = socket.recv_fds(source, 4, _MOST)
    if len(head) < 4:
        return None, ()
    if flags & socket.MSG_CTRUNC:
        raise OSError(EMFILE, f"recvmsg: {os.strerror(EMFILE)}")  # only those received for which descriptors were free
    return marshal.loads(source.recv(int.from_bytes(head, "little"), socket.MSG_WAITALL)), tuple(fds)


def report(to: socket.socket, error: OSError | MemoryError) -> NoReturn:
    """Report the error that keeps a worker from executing its program, and exit."""
    number, text = (error.errno, error.strerror) if isinstance(error, OSError) else (ENOMEM, os.strerror(ENOMEM))
    with suppress(OSError):
        to.sendall(FAILED)
        send(to, (number or EIO, text or str(error)))
    os._exit(70)


def live(workload: Workload, board: Board, first: int, sockets: Sequence[socket.socket], parent: int) -> NoReturn:
    """Run a worker process, with a thread for each socket; its workers have the numbers from *first*."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(70)
        gc.disable()
        sys.setswitchinterval(1e-5)
        signal.signal(DISTURBANCE, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {DISTURBANCE})
        workers = [_Worker(workload, board, first + place, each) for place, each in enumerate(sockets)]
        try:
            for worker in workers[1:]:
                threading.Thread(target=worker.serve, daemon=True).start()
        except RuntimeError as error:  # which is all that Python says of it
            report(sockets[0], OSError(EAGAIN, f"pthread_create: {error}"))
        workers[0].serve()
    finally:
        os._exit(70)


class _Worker:
    def __init__(self, workload: Workload, board: Board, number: int, commands: socket.socket) -> None:
        self._workload = workload
        self._number = number
        self._part = board.parts[number]
        self._others = [part for other, part in enumerate(board.parts) if other != number]
        self._late = [-1] * len(self._others)
        self._leave: Callable[[], None] | None = None  # releases the objects of the previous history
        self._commands = commands
        self._parts = board.parts

    def serve(self) -> None:
        """Execute programs until end of file. Any error terminates the process with a report or a traceback."""
        try:
            self._part.thread = threading.get_native_id()
            while (received := receive(self._commands))[0] is not None:
                command, fds = received
                self._do(fds, *command)
                self._commands.sendall(ENDED)
            os._exit(0)
        except (OSError, MemoryError) as error:
            report(self._commands, error)
        except BaseException:  # noqa: BLE001 - the boundary of the process
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    def _do(
        self,
        fds: tuple[int, ...],
        round: int,
        cpus: tuple[int, ...],
        in_step: bool,
        alone: bool,
        pids: tuple[int, ...],
        shared: Any,
        program: Any,
    ) -> None:
        with suppress(OSError):  # a sandbox may not have it
            os.sched_setaffinity(0, cpus)
        workload, part = self._workload, self._part
        spins = _SPINS if alone else 0
        if self._leave is not None:
            self._leave()
        mine = workload.enter(Here(shared, self._number, fds, pids))
        self._leave = partial(self._go, mine, fds)
        acts = [(getattr(workload, name, None), arguments, what, target) for name, arguments, what, target in program]
        self._gather(round)
        made = 0
        for number, (perform, arguments, provoke, target) in enumerate(acts):
            if in_step and number:
                self._meet(round + number, spins)
            if provoke:
                self._provoke(provoke, pids[target], self._parts[target].thread)
            part.begin(number)
            if perform is None:  # SIGKILL
                self._kill(pids[target], *arguments)
                part.end(number, 0, None)
            else:
                try:
                    value = perform(mine, *arguments)
                except OSError as error:
                    part.end(number, error.errno or EIO, error.strerror)
                else:
                    part.end(number, 0, value)
            made = number + 1
            if provoke == "stop":
                with suppress(ProcessLookupError):
                    os.kill(pids[target], signal.SIGCONT)
            if part.stop:
                break
        part.words[2] = round + DONE
        part.position = DONE + 2 * made

    def _go(self, mine: Any, fds: tuple[int, ...]) -> None:
        self._workload.leave(mine)
        for fd in fds:
            with suppress(OSError):  # a call may have closed it
                os.close(fd)

    def _gather(self, moment: int) -> None:
        """Wait until every worker has entered; none sleeps in a call or has been killed yet."""
        self._part.words[2] = moment
        while any(other.words[2] < moment for other in self._others):
            _yield()

    def _meet(self, moment: int, spins: int) -> None:
        """Wait for the other workers to reach this call, but only briefly for one that is in a call."""
        self._part.words[2] = moment
        rounds = 0
        for number, other in enumerate(self._others):
            words = other.words
            while (reached := words[2]) < moment and self._late[number] != reached:
                rounds += 1
                if rounds > (_ROUNDS_IN_CALL if words[0] & 1 else _ROUNDS) + spins:
                    self._late[number] = reached  # it sleeps or is dead: ignored until it moves
                    break
                if rounds > spins:
                    _yield()

    @staticmethod
    def _kill(pid: int, wait: bool = False) -> None:
        os.kill(pid, signal.SIGKILL)
        while wait and (state := process_state(pid)) is not None and state.state not in "ZX":
            _yield()

    @staticmethod
    def _provoke(what: str, pid: int, thread: int) -> None:
        with suppress(ProcessLookupError):
            if what == "signal":
                tgkill(pid, thread, DISTURBANCE)
            elif what == "stop" and pid != os.getpid():
                os.kill(pid, signal.SIGSTOP)
            elif what == "yield":
                _yield()

"""Children under concurrency: the threads of a process kill children and wait for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from ctypes import c_byte, c_int, c_uint, c_void_p
from random import Random
from threading import Lock
from typing import Any

from pytest_ipc import Ipc
from pytest_ipc.kernel.libc import function
from pytest_ipc.kernel.process import PR_SET_PDEATHSIG, prctl
from pytest_ipc.kernel.signals import siginfo

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Here, Workload
from .specification import ChildrenSpec

P_ALL = 0
_waitid = function("waitid", c_int, c_int, c_uint, c_void_p, c_int)  # os.waitid() retries after EINTR


class Family:
    """The children of a process, shared by all its threads."""

    def __init__(self) -> None:
        self.lock = Lock()  # held while a child is created
        self.history: Any = None
        self.pids: dict[int, int] = {}


FAMILY = Family()


class Children(Workload):
    """Multithreaded processes with one child for each thread; any thread may kill any child."""

    budget = Budget(histories=120)
    layouts = ((3,), (2, 1), (4,))
    sleeping = (("reap", "waitid"),)
    made = 0

    def make(self, ipc: Ipc) -> int:
        self.made += 1
        return self.made

    def specification(self, shared: int, history: History) -> ChildrenSpec:
        return ChildrenSpec(frozenset((process, number) for number, (_, process) in enumerate(history.crew)))

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        waiting, killing = random.choice((0.0, 0.5, 0.9)), random.choice((0.4, 0.5))
        for _ in range(workers):
            acts = []
            for _ in range(self.calls):
                if random.random() < killing:
                    acts.append(Act("kill", (random.randrange(workers),)))
                else:
                    acts.append(Act("reap", (random.random() < waiting,)))
            yield acts

    def enter(self, here: Here) -> Family:
        with FAMILY.lock:
            if FAMILY.history != here.shared:  # the first thread to enter
                self._clear()
                FAMILY.history = here.shared
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                while os.getppid() == parent:
                    signal.pause()
                os._exit(0)
            FAMILY.pids[here.worker] = pid
        return FAMILY

    @staticmethod
    def _clear() -> None:
        for pid in FAMILY.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        FAMILY.pids.clear()

    def kill(self, family: Family, child: int) -> None:
        pid = family.pids.get(child)
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        except (ProcessLookupError, ChildProcessError):  # reaped before, or in the meantime
            pass

    def reap(self, family: Family, wait: bool) -> int | None:
        info = (c_byte * 128)()
        _waitid(P_ALL, 0, info, os.WEXITED | (0 if wait else os.WNOHANG))
        pid = siginfo(bytes(info)).pid
        return next((number for number, other in family.pids.items() if other == pid), None)

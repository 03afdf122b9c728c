"""A crew: workers that execute one plan after another, and the controlling process, which watches them."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic, monotonic_ns
from typing import Any, Self

from pytest_ipc.kernel import Deadline, proc
from pytest_ipc.kernel.signals import tgkill

from ..outcome import outcome
from ..specification import Call
from .board import DONE, Board
from .history import History, Operation
from .plan import SIGKILL, Act, Plan, workers_of
from .processes import Processes, raise_failure
from .run import Run
from .thread_state import sleeps_in, state, waits_for_interpreter
from .worker import DISTURBANCE, FAILED, send
from .workload import Workload

__all__ = ["MAIN", "Crew"]

MAIN = "main"  # the worker whose calls the controlling process makes
_GLANCE = 0.0004  # seconds without news before the sleeping workers are determined
_GLANCES = 30  # of the same sleep, where the kernel does not show the system call
_PATIENCE = 10.0  # seconds for one history
_ENDINGS = {"wake": 10}  # attempts: a woken call may sleep again
_GRACE = 0.05  # seconds in which a call that sleeps must notice a signal, before its process is killed


class Crew:
    """Workers of one workload in one layout. `run` makes a history; `close` terminates the workers."""

    def __init__(self, workload: Workload, layout: tuple[int, ...]) -> None:
        self._workload = workload
        self._calls = dict(workload.sleeping)
        self._names = workers_of(layout)
        self._board = Board(len(self._names))
        self._processes = Processes(workload, layout, self._board)
        self._cpus = _allowed_cpus()
        self._round = 0
        self.histories = 0

    def close(self) -> None:
        """Kill the workers."""
        self._processes.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, plan: Plan, shared: Any) -> History:
        """Execute *plan* on the object *shared*.

        OSError if a worker cannot begin, TimeoutError if they do not finish, RuntimeError if a worker fails.
        """
        self._processes.start()
        self._round += 4 * DONE
        self.histories += 1
        run = Run(plan, shared, set(range(len(self._names))))
        pids = tuple(self._processes.of(worker).pid for worker in run.busy)
        for part in self._board.parts:
            part.position, part.stop = 0, False
        fds = self._workload.descriptors(shared)
        cpu = self._cpus[self.histories % len(self._cpus)]
        for worker, program in enumerate(plan.programs):
            cpus: tuple[int, ...] = (cpu,)
            alone = False
            if plan.placement == "apart":
                cpus, alone = (self._cpus[worker % len(self._cpus)],), len(self._cpus) > 1
            elif plan.placement == "anywhere":
                cpus, alone = self._cpus, len(self._cpus) > 1
            acts = tuple((act.name, act.arguments, act.provoke, act.target) for act in program)
            with suppress(BrokenPipeError, ConnectionResetError):  # it could not begin, and has reported why
                send(self._processes.socket(worker), (self._round, cpus, plan.in_step, alone, pids, shared, acts), fds)
        self._watch(run)
        history = run.history(self._workload, self._board, self._processes)
        self._processes.forget_dead()
        return history

    def _watch(self, run: Run) -> None:
        """Wait until every worker has finished or sleeps, and end the sleeping calls."""
        deadline = Deadline(_PATIENCE)  # scaled for this platform
        endings = [run.plan.ending] * _ENDINGS.get(run.plan.ending, 1) if run.plan.ending else []
        while run.busy:
            if self._hear(run):
                continue
            if deadline.passed:
                raise TimeoutError(f"no end of {self._doing(run)} within {_PATIENCE} s")
            self._look_for_deaths(run)
            if not run.busy or not (asleep := self._asleep(run)):
                continue
            if not run.quiet or run.quiet[-1][1] != asleep:
                run.quiet.append((run.moment, asleep))
            if any(run.plan.programs[worker][number].name in self._workload.limited for worker, number in asleep):
                continue  # its timeout will expire
            if endings:
                self._end(run, endings.pop(), asleep)
            else:
                self._release(run, asleep)
        self._await_killed(run)
        for act in self._workload.closing(run.shared):
            self._act(run, act)

    def _hear(self, run: Run) -> bool:
        """Wait briefly for workers that finish; return whether any did."""
        sockets = {
            self._processes.socket(worker): worker for worker in run.busy if self._processes.of(worker).dead is None
        }
        ready, _, _ = select.select([*sockets], [], [], _GLANCE)
        for each in ready:
            if came := each.recv(1):
                if came == FAILED:
                    raise_failure(each)
                run.busy.discard(sockets[each])
            else:
                self._look_for_deaths(run, sockets[each])
        return bool(ready)

    def _look_for_deaths(self, run: Run, worker: int | None = None) -> None:
        """Note the processes killed by an act of a worker; with *worker*, one known to be dead."""
        for victim in {worker} if worker is not None else [*run.busy]:
            if victim not in run.busy:
                continue
            process = self._processes.of(victim)
            if process.dead is None and worker is None and not process.is_zombie():
                continue
            if process.dead is None:
                process.note_death()
            killed = process.killed or self._killed_by_worker(run, self._processes.place(victim))
            if killed is None:
                process.raise_reported()
                end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
                raise RuntimeError(f"worker {self._names[victim][0]} has ended by itself: {end}")
            process.killed = killed
            run.busy -= self._processes.beside(victim)

    def _await_killed(self, run: Run) -> None:
        """Wait for the death of processes killed after they had finished."""
        for place, process in self._processes.running():
            if process.dead is None and (killed := self._killed_by_worker(run, place)):
                process.killed = killed
                process.note_death()

    def _killed_by_worker(self, run: Run, victim: int) -> int | None:
        """Return the time when a worker began to kill the process."""
        for worker, program in enumerate(run.plan.programs):
            for number, act in enumerate(program):
                begun = self._board.parts[worker].made[1] > number
                if act.name == SIGKILL and begun and self._processes.place(act.target) == victim:
                    return self._board.parts[worker].call(number)[0]
        return None

    def _asleep(self, run: Run) -> frozenset[tuple[int, int]]:
        """Return the sleeping calls as (worker, number), if every unfinished worker sleeps in one."""
        for worker in run.busy:
            pid = self._processes.of(worker).pid
            if state(pid, self._board.parts[worker].thread) == "T":
                os.kill(pid, signal.SIGCONT)  # the worker that stopped it sleeps or was killed
        before, confirmed = self._sleepers(run)
        run.moment = (
            monotonic_ns()
        )  # asleep before and after means asleep at it, as a timeout can end a sleep at any time
        if len(before) < len(run.busy) or self._sleepers(run) != (before, confirmed):
            run.glances = 0
            return frozenset()
        run.glances += 1
        return before if confirmed or run.glances > _GLANCES else frozenset()

    def _sleepers(self, run: Run) -> tuple[frozenset[tuple[int, int]], bool]:
        """Return the sleeping calls, none if a worker does not sleep, and whether the kernel confirms these calls."""
        found, all_confirmed = set(), True
        for worker in run.busy:
            part = self._board.parts[worker]
            position = part.position
            if position >= DONE or not position & 1:
                return frozenset(), False
            number = position // 2
            pid, name = self._processes.of(worker).pid, run.plan.programs[worker][number].name
            if name not in self._calls:
                return frozenset(), False
            all_confirmed = all_confirmed and sleeps_in(pid, part.thread, self._calls.get(name))
            if name not in self._workload.limited and waits_for_interpreter(pid, part.thread):
                return frozenset(), False
            if state(pid, part.thread) != "S" or part.position != position:
                return frozenset(), False
            found.add((worker, number))
        return frozenset(found), all_confirmed

    def _end(self, run: Run, ending: str, asleep: Iterable[tuple[int, int]]) -> None:
        """Wake the sleeping calls without a signal: remove the object, or kill one of their processes."""
        if ending == "kill":
            worker, _ = sorted(asleep)[self.histories % len([*asleep])]
            self._processes.of(worker).kill()
        else:
            self._act(run, self._workload.waking(run.shared))

    def _release(self, run: Run, asleep: Iterable[tuple[int, int]]) -> None:
        """End the sleeping calls and skip the rest of their programs: by a signal, or by SIGKILL."""
        for part in self._board.parts:
            part.stop = True
        for worker, number in sorted(asleep):
            part, process = self._board.parts[worker], self._processes.of(worker)
            run.released.add((worker, number))
            until = monotonic() + _GRACE
            while self._workload.interruptible and part.position == 2 * number + 1 and monotonic() < until:
                with suppress(ProcessLookupError):
                    tgkill(process.pid, part.thread, DISTURBANCE)
                select.select([], [], [], _GLANCE / 4)
            if part.position == 2 * number + 1:
                process.kill()

    def _act(self, run: Run, act: Act) -> None:
        """Make a call in this process, as the worker "main"."""
        perform = getattr(self._workload, act.name)
        invoked = monotonic_ns()
        result = outcome(lambda: perform(run.shared, *act.arguments))
        run.main.append(Operation(MAIN, Call(MAIN, act.name, act.arguments), invoked, monotonic_ns(), result))

    def _doing(self, run: Run) -> str:
        found = []
        for worker in sorted(run.busy):
            position = self._board.parts[worker].position
            program, name = run.plan.programs[worker], self._names[worker][0]
            call = program[position // 2].name if position & 1 and position < DONE else "no call"
            found.append(f"{name} in {call} ({proc.doing(self._processes.of(worker).pid)})")
        return ", ".join(found)


def _allowed_cpus() -> tuple[int, ...]:
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except OSError:  # a seccomp filter: then one CPU, which every machine has
        return (0,)

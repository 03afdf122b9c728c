"""A crew: workers that execute one plan after another, and the process that starts, watches and records them."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINTR
from time import monotonic, monotonic_ns
from typing import Any, NoReturn, Self

from pytest_ipc.kernel import Deadline, numbers_of, proc
from pytest_ipc.kernel.signals import tgkill
from pytest_ipc.resource import COULD_NOT_MAKE

from ..outcome import Fails, Gives, Outcome, outcome
from ..specification import Call
from .board import DONE, Board
from .history import Fate, History, Operation
from .plan import SIGKILL, Act, Plan, processes_of, workers_of
from .worker import DISTURBANCE, FAILED, live, receive, send
from .workload import Workload

__all__ = ["MAIN", "Crew"]

MAIN = "main"  # the worker whose calls the controlling process makes
_GLANCE = 0.0004  # seconds without news before the sleeping workers are determined
_GLANCES = 30  # of the same sleep, where the kernel does not show the system call
_PATIENCE = 10.0  # seconds for one history
_ENDINGS = {"wake": 10}  # attempts: a woken call may sleep again
_GRACE = 0.05  # seconds in which a call that sleeps must notice a signal, before its process is killed


@dataclass
class _Process:
    pid: int
    sockets: list[socket.socket]
    dead: int | None = None  # time when it was found dead
    killed: int | None = None  # time of its SIGKILL


@dataclass
class _Run:
    """The state of the history in progress."""

    plan: Plan
    shared: Any
    busy: set[int]  # workers that have not finished
    quiet: list[tuple[int, frozenset[tuple[int, int]]]] = field(default_factory=list)
    released: set[tuple[int, int]] = field(default_factory=set)  # sleeping calls that were interrupted
    main: list[Operation] = field(default_factory=list)
    moment: int = 0  # time of the last check for sleeping workers
    glances: int = 0  # how often all were seen in the same sleep


class Crew:
    """Workers of one workload in one layout. `run` makes a history; `close` terminates the workers."""

    def __init__(self, workload: Workload, layout: tuple[int, ...]) -> None:
        self._workload = workload
        self._calls = dict(workload.sleeping)
        self._phased = {name for name, _ in workload.phases}
        self._layout = layout
        self._process_of = processes_of(layout)
        self._names = workers_of(layout)
        self._board = Board(len(self._names))
        self._processes: list[_Process | None] = [None] * len(layout)
        self._cpus = _allowed_cpus()
        self._round = 0
        self.histories = 0

    def close(self) -> None:
        """Kill the workers."""
        for place, process in enumerate(self._processes):
            if process is not None:
                self._kill(process)
                self._forget(place)
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Processes

    def _start(self, place: int) -> _Process:
        first = sum(self._layout[:place])
        pairs = [socket.socketpair() for _ in range(self._layout[place])]
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            error.add_note(COULD_NOT_MAKE)
            raise
        if pid == 0:
            for process in self._processes:
                for ours in process.sockets if process else ():
                    ours.close()
            for ours, _ in pairs:
                ours.close()
            live(self._workload, self._board, first, [theirs for _, theirs in pairs], parent)
        for _, theirs in pairs:
            theirs.close()
        return _Process(pid, [ours for ours, _ in pairs])

    def _forget(self, place: int) -> None:
        process = self._processes[place]
        if process is not None:
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
            for each in process.sockets:
                each.close()
        self._processes[place] = None

    def _process(self, worker: int) -> _Process:
        process = self._processes[self._process_of[worker]]
        assert process is not None
        return process

    def _socket(self, worker: int) -> socket.socket:
        first = sum(self._layout[: self._process_of[worker]])
        return self._process(worker).sockets[worker - first]

    def _kill(self, process: _Process) -> None:
        """Kill a process and wait until the kernel has cleaned up after it. It stays a zombie and keeps its PID."""
        if process.dead is None:
            process.killed = process.killed or monotonic_ns()
            os.kill(process.pid, signal.SIGKILL)
            self._note_death(process)

    @staticmethod
    def _note_death(process: _Process) -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process.dead = monotonic_ns()

    # One history

    def run(self, plan: Plan, shared: Any) -> History:
        """Execute *plan* on the object *shared*.

        OSError if a worker cannot begin, TimeoutError if they do not finish, RuntimeError if a worker fails.
        """
        for place, process in enumerate(self._processes):
            if process is None:
                self._processes[place] = self._start(place)
        self._round += 4 * DONE
        self.histories += 1
        run = _Run(plan, shared, set(range(len(self._names))))
        pids = tuple(self._process(worker).pid for worker in run.busy)
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
                send(self._socket(worker), (self._round, cpus, plan.in_step, alone, pids, shared, acts), fds)
        self._watch(run)
        history = self._history(run)
        for place, process in enumerate(self._processes):
            if process is not None and process.dead is not None:
                self._forget(place)
        return history

    def _watch(self, run: _Run) -> None:
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

    def _hear(self, run: _Run) -> bool:
        """Wait briefly for workers that finish; return whether any did."""
        sockets = {self._socket(worker): worker for worker in run.busy if self._process(worker).dead is None}
        ready, _, _ = select.select([*sockets], [], [], _GLANCE)
        for each in ready:
            if came := each.recv(1):
                if came == FAILED:
                    _raise_failure(each)
                run.busy.discard(sockets[each])
            else:
                self._look_for_deaths(run, sockets[each])
        return bool(ready)

    def _look_for_deaths(self, run: _Run, worker: int | None = None) -> None:
        """Note the processes killed by an act of a worker; with *worker*, one known to be dead."""
        for victim in {worker} if worker is not None else [*run.busy]:
            if victim not in run.busy:
                continue
            process = self._process(victim)
            if process.dead is None and worker is None and not self._is_zombie(process):
                continue
            if process.dead is None:
                self._note_death(process)
            killed = process.killed or self._killed_by_worker(run, self._process_of[victim])
            if killed is None:
                for each in process.sockets:
                    _raise_reported(each)
                end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
                raise RuntimeError(f"worker {self._names[victim][0]} has ended by itself: {end}")
            process.killed = killed
            run.busy.difference_update(w for w, p in enumerate(self._process_of) if p == self._process_of[victim])

    def _await_killed(self, run: _Run) -> None:
        """Wait for the death of processes killed after they had finished."""
        for place, process in enumerate(self._processes):
            if process is not None and process.dead is None and (killed := self._killed_by_worker(run, place)):
                process.killed = killed
                self._note_death(process)

    @staticmethod
    def _is_zombie(process: _Process) -> bool:
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        return found is not None

    def _killed_by_worker(self, run: _Run, victim: int) -> int | None:
        """Return the time when a worker began to kill the process."""
        for worker, program in enumerate(run.plan.programs):
            for number, act in enumerate(program):
                begun = self._made(worker)[1] > number
                if act.name == SIGKILL and begun and self._process_of[act.target] == victim:
                    return self._board.parts[worker].call(number)[0]
        return None

    def _made(self, worker: int) -> tuple[int, int]:
        """Return the numbers of calls that the worker has returned from, and begun."""
        position = self._board.parts[worker].position % DONE
        return position // 2, (position + 1) // 2

    def _asleep(self, run: _Run) -> frozenset[tuple[int, int]]:
        """Return the sleeping calls as (worker, number), if every unfinished worker sleeps in one."""
        for worker in run.busy:
            pid = self._process(worker).pid
            if _state(pid, self._board.parts[worker].thread) == "T":
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

    def _sleepers(self, run: _Run) -> tuple[frozenset[tuple[int, int]], bool]:
        """Return the sleeping calls, none if a worker does not sleep, and whether the kernel confirms these calls."""
        found, all_confirmed = set(), True
        for worker in run.busy:
            part = self._board.parts[worker]
            position = part.position
            if position >= DONE or not position & 1:
                return frozenset(), False
            number = position // 2
            pid, name = self._process(worker).pid, run.plan.programs[worker][number].name
            state = _state(pid, part.thread)
            if name not in self._calls:
                return frozenset(), False
            all_confirmed = all_confirmed and _sleeps_in(pid, part.thread, self._calls.get(name))
            if name not in self._workload.limited and _waits_for_interpreter(pid, part.thread):
                return frozenset(), False
            if state != "S" or part.position != position:
                return frozenset(), False
            found.add((worker, number))
        return frozenset(found), all_confirmed

    def _end(self, run: _Run, ending: str, asleep: Iterable[tuple[int, int]]) -> None:
        """Wake the sleeping calls without a signal: remove the object, or kill one of their processes."""
        if ending == "kill":
            worker, _ = sorted(asleep)[self.histories % len([*asleep])]
            self._kill(self._process(worker))
        else:
            self._act(run, self._workload.waking(run.shared))

    def _release(self, run: _Run, asleep: Iterable[tuple[int, int]]) -> None:
        """End the sleeping calls and skip the rest of their programs: by a signal, or by SIGKILL."""
        for part in self._board.parts:
            part.stop = True
        for worker, number in sorted(asleep):
            part, process = self._board.parts[worker], self._process(worker)
            run.released.add((worker, number))
            until = monotonic() + _GRACE
            while self._workload.interruptible and part.position == 2 * number + 1 and monotonic() < until:
                with suppress(ProcessLookupError):
                    tgkill(process.pid, part.thread, DISTURBANCE)
                select.select([], [], [], _GLANCE / 4)
            if part.position == 2 * number + 1:
                self._kill(process)

    def _act(self, run: _Run, act: Act) -> None:
        """Make a call in this process, as the worker "main"."""
        perform = getattr(self._workload, act.name)
        invoked = monotonic_ns()
        result = outcome(lambda: perform(run.shared, *act.arguments))
        run.main.append(Operation(MAIN, Call(MAIN, act.name, act.arguments), invoked, monotonic_ns(), result))

    def _doing(self, run: _Run) -> str:
        found = []
        for worker in sorted(run.busy):
            position = self._board.parts[worker].position
            program, name = run.plan.programs[worker], self._names[worker][0]
            call = program[position // 2].name if position & 1 and position < DONE else "no call"
            found.append(f"{name} in {call} ({proc.doing(self._process(worker).pid)})")
        return ", ".join(found)

    # The history from the board

    def _history(self, run: _Run) -> History:
        operations: list[Operation] = []
        numbers: dict[tuple[int, int], int] = {}
        for worker, program in enumerate(run.plan.programs):
            for number, operation in self._operations(run, worker, program):
                numbers[worker, number] = len(operations)
                operations.append(operation)
        for place, process in enumerate(self._processes):
            if process is not None and process.dead is not None and process.killed is not None:
                name = chr(65 + place)
                operations.append(Operation(name, Call(name, "ends"), process.killed, process.dead, None, Fate.ENDED))
        quiet = tuple(
            (moment, frozenset(numbers[entry] for entry in asleep if entry in numbers)) for moment, asleep in run.quiet
        )
        return History(tuple(operations + run.main), quiet, self._workload.phases, tuple(self._names))

    def _operations(self, run: _Run, worker: int, program: tuple[Act, ...]) -> Iterable[tuple[int, Operation]]:
        part, (name, process) = self._board.parts[worker], self._names[worker]
        returned, begun = self._made(worker)
        last_asleep = run.quiet[-1][1] if run.quiet else frozenset()
        for number, act in enumerate(program[:begun]):
            if act.name == SIGKILL:
                continue
            call = Call(process, act.name, act.arguments)
            begin, end = part.call(number)
            if number >= returned:
                fate = Fate.UNFINISHED
                if self._process(worker).dead is not None:
                    fate = Fate.KILLED
                elif (worker, number) in last_asleep:
                    fate = Fate.BLOCKED
                yield number, Operation(name, call, begin, None, None, fate)
                continue
            result = _outcome(*part.result(number))
            if result == Fails(EINTR) and (worker, number) in run.released:
                yield number, Operation(name, call, begin, None, None, Fate.BLOCKED)
            elif result == Fails(EINTR) and act.name not in self._phased and _is_disturbed(run.plan, worker):
                yield number, Operation(name, call, begin, end, result, Fate.INTERRUPTED)
            else:
                yield number, Operation(name, call, begin, end, result)


def _outcome(errno: int, value: Any) -> Outcome:
    return Fails(errno, OSError(errno, value)) if errno else Gives(value)


def _raise_reported(worker: socket.socket) -> None:
    """Raise the error that a dead worker has reported, if any."""
    with suppress(BlockingIOError, ConnectionResetError):
        if worker.recv(1, socket.MSG_DONTWAIT) == FAILED:
            _raise_failure(worker)


def _raise_failure(worker: socket.socket) -> NoReturn:
    """Raise the error for which a worker could not begin."""
    error = OSError(*receive(worker)[0])
    error.add_note(COULD_NOT_MAKE)
    raise error


def _is_disturbed(plan: Plan, worker: int) -> bool:
    """Return whether a worker sends signals to this one or stops it, after which some calls fail with EINTR."""
    process_of = processes_of(plan.layout)
    return any(
        act.provoke in ("signal", "stop") and process_of[act.target] == process_of[worker]
        for program in plan.programs
        for act in program
    )


def _allowed_cpus() -> tuple[int, ...]:
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except OSError:
        return (0,)


def _state(pid: int, thread: int) -> str:
    """Return the state letter of a thread; "" if the kernel does not show it."""
    text = _read(f"/proc/{pid}/task/{thread}/stat")
    return text[text.rindex(b")") + 2 :][:1].decode() if text else ""


def _sleeps_in(pid: int, thread: int, call: str | None) -> bool:
    """Return whether the kernel shows the thread in this system call."""
    words = _read(f"/proc/{pid}/task/{thread}/syscall").split() if call is not None else []
    return bool(words) and words[0].isdigit() and call is not None and int(words[0]) in numbers_of(call)


def _waits_for_interpreter(pid: int, thread: int) -> bool:
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

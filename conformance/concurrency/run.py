"""One history in progress, and the operations that the board shows at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import EINTR
from typing import Any

from ..outcome import Fails, Gives, Outcome
from ..specification import Call
from .board import Board
from .history import Fate, History, Operation
from .plan import SIGKILL, Act, Plan, processes_of, workers_of
from .processes import Processes
from .workload import Workload

__all__ = ["Run"]


@dataclass
class Run:
    """The state of the history in progress."""

    plan: Plan
    shared: Any
    busy: set[int]  # workers that have not finished
    quiet: list[tuple[int, frozenset[tuple[int, int]]]] = field(default_factory=list)
    released: set[tuple[int, int]] = field(default_factory=set)  # sleeping calls that were interrupted
    main: list[Operation] = field(default_factory=list)
    moment: int = 0  # time of the last check for sleeping workers
    glances: int = 0  # how often all were seen in the same sleep

    def history(self, workload: Workload, board: Board, processes: Processes) -> History:
        """Return the history: the calls on the *board*, the ends of processes, and the calls of the main worker."""
        operations: list[Operation] = []
        numbers: dict[tuple[int, int], int] = {}
        phased = {name for name, _ in workload.phases}
        names = workers_of(self.plan.layout)
        for worker, program in enumerate(self.plan.programs):
            for number, operation in self._operations(worker, program, names[worker], phased, board, processes):
                numbers[worker, number] = len(operations)
                operations.append(operation)
        for place, process in processes.running():
            if process.dead is not None and process.killed is not None:
                name = chr(65 + place)
                operations.append(Operation(name, Call(name, "ends"), process.killed, process.dead, None, Fate.ENDED))
        quiet = tuple(
            (moment, frozenset(numbers[entry] for entry in asleep if entry in numbers)) for moment, asleep in self.quiet
        )
        return History(tuple(operations + self.main), quiet, workload.phases, tuple(names))

    def _operations(
        self,
        worker: int,
        program: tuple[Act, ...],
        names: tuple[str, str],
        phased: set[str],
        board: Board,
        processes: Processes,
    ) -> Iterable[tuple[int, Operation]]:
        part, (name, process) = board.parts[worker], names
        returned, begun = part.made
        last_asleep = self.quiet[-1][1] if self.quiet else frozenset()
        for number, act in enumerate(program[:begun]):
            if act.name == SIGKILL:
                continue
            call = Call(process, act.name, act.arguments)
            begin, end = part.call(number)
            if number >= returned:
                fate = Fate.UNFINISHED
                if processes.of(worker).dead is not None:
                    fate = Fate.KILLED
                elif (worker, number) in last_asleep:
                    fate = Fate.BLOCKED
                yield number, Operation(name, call, begin, None, None, fate)
                continue
            result = _outcome(*part.result(number))
            if result == Fails(EINTR) and (worker, number) in self.released:
                yield number, Operation(name, call, begin, None, None, Fate.BLOCKED)
            elif result == Fails(EINTR) and act.name not in phased and self._is_disturbed(worker):
                yield number, Operation(name, call, begin, end, result, Fate.INTERRUPTED)
            else:
                yield number, Operation(name, call, begin, end, result)

    def _is_disturbed(self, worker: int) -> bool:
        """Return whether a worker sends signals to this one or stops it, after which some calls fail with EINTR."""
        process_of = processes_of(self.plan.layout)
        return any(
            act.provoke in ("signal", "stop") and process_of[act.target] == process_of[worker]
            for program in self.plan.programs
            for act in program
        )


def _outcome(errno: int, value: Any) -> Outcome:
    return Fails(errno, OSError(errno, value)) if errno else Gives(value)

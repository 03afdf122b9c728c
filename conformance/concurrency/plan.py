"""Plans: the calls of each worker in one history, and disturbances of the scheduling."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..specification import Call

__all__ = ["SIGKILL", "Act", "Plan", "processes_of", "workers_of"]


# The name of an act that is not a call of a workload: kill the process of the target. Its argument says whether the
# worker waits for the death before it continues.
SIGKILL = "SIGKILL"


@dataclass(frozen=True, slots=True)
class Act:
    """One call of a worker. *provoke* is done to the worker *target* right before it (see `worker._provoke`)."""

    name: str
    arguments: tuple[Any, ...] = ()
    provoke: str = ""
    target: int = 0


@dataclass(frozen=True)
class Plan:
    """The programs of all workers.

    `layout` has the number of threads of each process, `placement` their CPUs: "together" on one, "apart" on one each,
    or "anywhere". With `in_step` they wait for one another before every call. `ending` says how sleeping calls are
    ended, besides interrupting them.
    """

    layout: tuple[int, ...]
    programs: tuple[tuple[Act, ...], ...]
    placement: str = "anywhere"
    in_step: bool = True
    ending: str = ""

    def encoded(self) -> bytes:
        """Return the plan as text that `decoded` reads, for an example database."""
        return repr(asdict(self)).encode()

    @classmethod
    def decoded(cls, data: bytes) -> Plan:
        """Return the plan. ValueError if the data is not a plan."""
        try:
            found = literal_eval(data.decode())
            programs = tuple(tuple(Act(**act) for act in program) for program in found.pop("programs"))
            return cls(programs=programs, **found)
        except (SyntaxError, ValueError, TypeError, AttributeError, KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"not a plan: {error}") from None

    @property
    def length(self) -> int:
        """The number of calls."""
        return sum(map(len, self.programs))

    def smaller(self) -> Iterator[Plan]:
        """Yield the candidates of shrinking: first without a worker's program, then with fewer calls."""
        busy = [worker for worker, program in enumerate(self.programs) if program]
        if len(busy) > 1:
            yield from (self._with(worker, ()) for worker in busy)
        for worker, program in enumerate(self.programs):
            half = len(program) // 2
            if half > 1:
                for kept in (program[:half], program[half:]):
                    yield self._with(worker, kept)
        for worker, program in enumerate(self.programs):
            for place in range(len(program)):
                yield self._with(worker, program[:place] + program[place + 1 :])
        if any(act.provoke for program in self.programs for act in program):
            calm = (tuple(replace(act, provoke="") for act in program) for program in self.programs)
            yield replace(self, programs=tuple(calm))

    def only(self, calls: Sequence[tuple[str, Call]]) -> Plan:
        """Return the plan with only those calls of each worker that are in *calls*, by its name, and its kills."""
        programs = []
        for (name, process), program in zip(workers_of(self.layout), self.programs, strict=True):
            programs.append(
                tuple(
                    act
                    for act in program
                    if act.name == SIGKILL or (name, Call(process, act.name, act.arguments)) in calls
                )
            )
        return replace(self, programs=tuple(programs))

    def _with(self, worker: int, program: tuple[Act, ...]) -> Plan:
        programs = (*self.programs[:worker], program, *self.programs[worker + 1 :])
        return replace(self, programs=programs)


def processes_of(layout: tuple[int, ...]) -> list[int]:
    """Return the process number of each worker."""
    return [process for process, threads in enumerate(layout) for _ in range(threads)]


def workers_of(layout: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the names of each worker and its process: ("B2", "B") is the second thread of process B."""
    return [
        (f"{chr(65 + process)}{thread + 1 if threads > 1 else ''}", chr(65 + process))
        for process, threads in enumerate(layout)
        for thread in range(threads)
    ]

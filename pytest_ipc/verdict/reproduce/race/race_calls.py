"""The race of a report: the calls of several workers, and all sequential executions of them that are allowed.

A program needs no search: it compares the results of each round with this list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..steps import Missing

__all__ = ["Operation", "Race", "race_of"]

# The file with the calls of a workload as source, and the constants that differ between workloads with the same calls.
CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "fifo.Fifo": ("fifo", {}),
    "lock.DescriptionLocks": ("locks", {"OFD": "1"}),
    "lock.Leases": ("leases", {}),
    "lock.RecordLocks": ("locks", {"OFD": "0"}),
    "lock.WholeFile": ("locks", {"OFD": "0"}),
    "msg.Queue": ("msg", {}),
    "pipe.SmallPipe": ("pipe", {}),
    "posix.Names": ("names", {}),
    "posix.Notified": ("posix_queue", {}),
    "posix.PosixQueue": ("posix_queue", {}),
    "posix.PosixSemaphore": ("posix_sem", {}),
    "process.Children": ("children", {}),
    "sem.Semaphores": ("sem", {}),
    "sem.Undone": ("sem", {}),
    "shm.Segments": ("shm", {}),
    "signal.Pending": ("signal", {}),
    "socket.Datagrams": ("packets", {"SOCKET_TYPE": "SOCK_DGRAM"}),
    "socket.Packets": ("packets", {"SOCKET_TYPE": "SOCK_SEQPACKET"}),
    "sync.Barrier": ("barrier", {}),
    "sync.Condition": ("condition", {}),
    "sync.Counter": ("counter", {}),
    "sync.Futex": ("futex", {}),
    "sync.Mutex": ("mutex", {}),
    "sync.Rwlock": ("rwlock", {}),
}
PROVOCATIONS = {"": "0", "signal": "SIGUSR1", "stop": "SIGSTOP", "yield": "-1"}
KILL = "SIGKILL"


@dataclass(frozen=True)
class Operation:
    """One operation: its worker, -1 for the main process; its arguments; what the worker does to another before it."""

    worker: int
    name: str
    arguments: tuple[Any, ...]
    provoke: str
    target: int
    words: str


@dataclass(frozen=True)
class Race:
    """The operations of all workers one after another, then those that wake sleeping calls, then the closing ones.

    An execution is the order of the operations, empty if any order will do, and the place of each one's result in
    `outcomes`.
    """

    calls: str
    constants: dict[str, str]
    process_of: tuple[int, ...]
    operations: tuple[Operation, ...]
    lengths: tuple[int, ...]  # the number of operations of each worker
    wakings: int
    in_step: bool
    kills_sleepers: bool
    interruptible: bool
    sleeping: frozenset[str]
    identifiers: frozenset[str]
    outcomes: tuple[str, ...]
    executions: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    @property
    def closings(self) -> int:
        """The number of closing operations."""
        return len(self.operations) - sum(self.lengths) - self.wakings

    @property
    def processes(self) -> int:
        """The number of processes."""
        return max(self.process_of) + 1

    def name_of(self, worker: int) -> str:
        """Return the name of a worker: A, or B2 for the second thread of a process."""
        if worker < 0:
            return "main"
        process = self.process_of[worker]
        threads = self.process_of.count(process)
        return chr(65 + process) + (str(worker - self.process_of.index(process) + 1) if threads > 1 else "")


def race_of(found: dict[str, Any]) -> Race:
    """Return the race of a report. Missing if it lacks something, or its calls are not known as source."""
    if found.get("workload") not in CALLS:
        raise Missing(f"calls that this version can write as source, as those of {found.get('workload')!r}")
    try:
        return _race(found)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Missing(f"a valid description of its calls: {error!r}") from error


def _race(found: dict[str, Any]) -> Race:
    file, constants = CALLS[found["workload"]]
    constants = constants | {str(name).upper(): str(int(value)) for name, value in found["parameters"].items()}
    process_of = tuple(process for process, threads in enumerate(found["layout"]) for _ in range(int(threads)))
    operations = [*_operations(found["programs"], len(process_of))]
    lengths = tuple(map(len, found["programs"]))
    kills = found["ending"] == "kill"
    nothing = Operation(-1, KILL, (), "", 0, "SIGKILL")
    wakings = [nothing] if kills else [_operation(-1, act, len(process_of)) for act in found["waking"]]
    closings = [_operation(-1, act, len(process_of)) for act in found["closing"]]
    operations += [*wakings, *closings]
    executions = tuple((tuple(map(int, order)), tuple(map(int, results))) for order, results in found["executions"])
    outcomes = tuple(map(str, found["outcomes"]))
    for order, results in executions:
        places_fit = all(0 <= place < len(outcomes) for place in results)
        numbers_fit = all(0 <= number < len(operations) for number in order)
        if len(results) != len(operations) or not places_fit or not numbers_fit:
            raise ValueError("an execution must have a result of each operation")
    if not executions or len(operations) > 200:
        raise ValueError(f"{len(executions)} executions of {len(operations)} operations")
    return Race(
        file,
        constants,
        process_of,
        tuple(operations),
        lengths,
        len(wakings),
        bool(found["in_step"]),
        kills,
        bool(found["interruptible"]),
        frozenset(map(str, found["sleeping"])),
        frozenset(map(str, found["identifiers"])),
        outcomes,
        executions,
    )


def _operations(programs: list[list[Any]], workers: int) -> Iterator[Operation]:
    if len(programs) != workers:
        raise ValueError(f"{len(programs)} programs for {workers} workers")
    for worker, program in enumerate(programs):
        for act in program:
            yield _operation(worker, act, workers)


def _operation(worker: int, act: list[Any], workers: int) -> Operation:
    name, arguments, provoke, target, words = act
    if not str(name).isidentifier() or provoke not in PROVOCATIONS or not 0 <= int(target) < workers:
        raise ValueError(f"an operation {act!r}")
    return Operation(worker, str(name), tuple(map(_argument, arguments)), provoke, int(target), str(words))


def _argument(value: Any) -> Any:
    """Return a number, a truth value, bytes, or a tuple of these."""
    if isinstance(value, dict):
        return str(value["bytes"]).encode("latin-1")
    if isinstance(value, list):
        return tuple(map(_argument, value))
    if not isinstance(value, (int, float)):
        raise TypeError(f"an argument {value!r}")
    return value

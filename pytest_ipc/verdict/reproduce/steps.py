"""The steps of a reproducer, from the trace of a deviation: who makes which call with what, and after which others.

Values that differ between two runs (descriptors, identifiers, process ids, addresses) become variables, defined by the
step that gives them. What the trace does not have is `Missing`: a program without it would reproduce something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...kernel.signatures import GIVEN, Kind, Signature, command_kind, signature
from ...kernel.trace import NOT_RETURNED, TOO_MANY, Event, Value
from ...kernel.trace_values import as_text
from ...printable import counted
from ...unpatched import os
from .text import is_elsewhere

__all__ = ["Argument", "Missing", "Program", "Role", "Step", "program_of"]

# Calls that change nothing if this argument is null: the fixtures make them to restore what there was.
_LOOKS = {"sigaltstack": 0, "sigaction": 1}
# Calls of this package's own bookkeeping; if a later call refers to what they give, that is reported.
_OWN = {"signal.set_wakeup_fd", "os.openat"}
_CREATES = os.O_CREAT | os.O_TMPFILE | os.O_DIRECTORY
_MAKING = {"mkfifo": 0, "mkfifoat": 1, "link": 1, "symlink": 1, "rename": 1, "mknod": 0}  # the argument with the path
_LONGEST = 66_000  # bytes of one argument in the source


class Missing(Exception):
    """What the trace lacks, so that no program can be made."""


@dataclass(frozen=True)
class Argument:
    """An argument: its kind, its value, and the variable that has it, or the role whose process id it is."""

    kind: Kind
    value: Value
    variable: str = ""
    role: int | None = None

    @property
    def is_out(self) -> bool:
        """Whether the call writes memory that the program must have."""
        return self.kind.way in ("out", "io")


@dataclass
class Step:
    """One call, the "(exit)" of its role, or the "(fork)", "(end)", "(asleep)" of another role or a "(signal)" to it.

    `asleep` are the steps of others that must sleep in their call before it, `after` those that must have returned.
    `gives` maps places to the variables that the step defines: "result", or "0.1" for an element of an argument.
    """

    number: int
    role: int
    name: str
    event: Event
    arguments: list[Argument] = field(default_factory=list)
    other: int = 0
    gives: dict[str, str] = field(default_factory=dict)
    after: list[int] = field(default_factory=list)
    asleep: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The call as it was observed."""
        return as_text(self.event) if self.event.is_call else self.name

    @property
    def shape(self) -> Signature:
        """The signature of the call."""
        found = signature(self.event.name)
        assert found is not None
        return found


@dataclass
class Role:
    """A process of the program: its name, its parent, and whether it ends by itself."""

    name: str
    parent: int = 0
    ends: bool = False


@dataclass
class Program:
    """The steps in the order of their begins, the roles, and the measure with the number of its step."""

    steps: list[Step]
    roles: list[Role]
    measure: dict[str, Any]
    measured: int
    variables: dict[str, str] = field(default_factory=dict)  # each with its kind
    expected_role: int | None = None  # whose process id is expected
    expected_variable: str = ""

    def step(self, number: int) -> Step:
        """Return a step by its number."""
        return next(step for step in self.steps if step.number == number)

    def files(self) -> list[str]:
        """Return the names of the files in the test's directory that no call on record has created."""
        made, found = set[str](), dict[str, None]()
        for step in self.steps:
            if step.name in _MAKING and (path := _path(step, _MAKING[step.name])):
                made.add(path)
            elif step.name == "open" and step.event.errno == 0 and (path := _path(step, 0)):
                if not is_elsewhere(path) and path not in made and not step.event.arguments[1] & _CREATES:
                    found[path.rstrip("/").rpartition("/")[2]] = None
                made.add(path)
        return [*found]

    def is_left_out(self, step: Step) -> bool:
        """Return whether a step makes or changes a directory of the test, whose files are in one directory here."""
        made = {first_text(other) for other in self.steps if other.name == "mkdir"}
        return step.name in ("mkdir", "chmod", "rmdir") and first_text(step) in made


def first_text(step: Step) -> str:
    """Return the text that is the first argument, as a path."""
    return _path(step, 0)


def _path(step: Step, place: int) -> str:
    value = step.arguments[place].value if len(step.arguments) > place else None
    return str(value.get("bytes", "")) if isinstance(value, dict) else ""


def program_of(trace: dict[str, Any]) -> Program:
    """Return the program of a trace (judge/evidence.py). Missing."""
    measure = trace.get("measure")
    if measure is None:
        raise Missing("an observation that is the outcome of a call on record, such as a result or an errno")
    events = [Event(*_plain(event)) for event in trace["events"]]
    roles, of_pid = _roles(events)
    if threads := {event.thread for event in events} - {0}:
        raise Missing(f"calls of the main thread alone: {counted(len(threads), 'other thread')} made some")
    maker = _Maker(roles, of_pid)
    for event in events:
        maker.add(event)
        if event.begin == measure["event"]:
            maker.measured = len(maker.steps) - 1
    if maker.measured is None:
        raise Missing("the call that deviates")
    steps = _needed(maker.steps, measure, maker.measured)
    found = Program(steps, roles, measure, maker.measured, maker.variables)
    _check_content(found)
    _expectation(found, maker)
    _order(steps, maker.measured if measure["what"] in ("sleeps", "returns") else -1)
    return found


def _check_content(program: Program) -> None:
    """Raise Missing if the outcome is content that no call on record has written, or the status of a process."""
    measured, measure = program.step(program.measured), program.measure
    if measured.name == "(end)" and measure["what"] == "value" and measure["value"] != 0:
        kills = (step.event.arguments[1] for step in program.steps if _is_signal_to(step, measured.other))
        if measure["relation"] == "==" and -measure["value"] not in kills:
            raise Missing("how the process comes to the status with which it ends")
    if measure["what"] != "value" or measured.name not in ("read", "pread", "preadv", "readv", "fstat", "lseek"):
        return
    if program.files():
        raise Missing("the content of a file that the test has written without a call on record")
    if any(step.name in ("mmap", "mremap", "shmat") for step in program.steps):
        raise Missing("what the test writes to memory, without a call")


def _is_signal_to(step: Step, role: int) -> bool:
    return step.name == "(signal)" and step.other == role


def _plain(event: Sequence[Any]) -> tuple[Any, ...]:
    pid, begin, end, name, arguments, result, errno, thread = event
    return pid, begin, end, name, tuple(arguments), result, errno, thread


def _roles(events: Sequence[Event]) -> tuple[list[Role], dict[int, int]]:
    forks = [event for event in events if event.name == "(fork)"]
    children = [event.arguments[0] for event in forks]
    first = next((event.pid for event in events if event.pid not in children), None)
    if first is None:
        raise Missing("the process that began")
    roles, of_pid = [Role("parent")], {first: 0}
    for number, event in enumerate(forks, 1):
        if event.pid not in of_pid:
            raise Missing(f"the begin of process {event.pid}, which forks")
        if event.arguments[0] in of_pid:
            raise Missing("the order of two processes with one id")
        of_pid[event.arguments[0]] = number
        roles.append(Role(f"child_{number}" if len(forks) > 1 else "child", of_pid[event.pid]))
    unknown = {event.pid for event in events} - set(of_pid)
    if unknown:
        raise Missing("the begin of a process that makes calls")
    return roles, of_pid


class _Maker:
    def __init__(self, roles: list[Role], of_pid: dict[int, int]) -> None:
        self.roles, self.of_pid = roles, of_pid
        self.steps: list[Step] = []
        self.variables: dict[str, str] = {}
        self.measured: int | None = None
        self._given: dict[tuple[str, int], list[tuple[int, str]]] = {}  # by kind and value: role, variable

    def add(self, event: Event) -> None:
        """Add the step of an event."""
        role = self.of_pid[event.pid]
        step = Step(len(self.steps), role, event.name, event)
        if event.name == "(fork)":
            step.other = self.of_pid[event.arguments[0]]
        elif event.name in ("(end)", "(signal)"):
            if event.arguments[0] not in self.of_pid:
                raise Missing(f"the begin of process {event.arguments[0]}, which ends")
            step.other = self.of_pid[event.arguments[0]]
            if event.name == "(end)":
                self.roles[step.other].ends = True
        elif event.name == "(exit)":
            pass
        elif event.name == "(asleep)":
            self._check_asleep(event)
            step.other = self.of_pid[event.arguments[0]]
        else:
            self._call(step, event)
        self.steps.append(step)

    def _check_asleep(self, event: Event) -> None:
        pid, call = event.arguments[0], event.arguments[1].get("bytes", "")
        if pid not in self.of_pid:
            raise Missing(f"the begin of process {pid}, which sleeps")
        self.awaited = (self.of_pid[pid], call)

    def _call(self, step: Step, event: Event) -> None:
        if event.name in _OWN or self._is_own_directory(event):
            step.name = "(nothing)"
            return
        if event.name in _LOOKS and event.arguments[_LOOKS[event.name]] is None:
            step.name = "(nothing)"
            return
        if event.name == TOO_MANY:
            raise Missing("the later calls of a process, which makes too many")
        shape = signature(event.name)
        if shape is None or len(shape.arguments) != len(event.arguments):
            raise Missing(f"what {event.name} does, whose arguments this version cannot write as source")
        for place, (kind, value) in enumerate(zip(shape.arguments, event.arguments, strict=True)):
            if kind.way == "ctl":
                found = command_kind(kind.name, int(event.arguments[place - 1]))
                kind = found if found is not None else Kind("", "none")
            step.arguments.append(self._argument(step, kind, value))
        if event.errno == 0 and event.end != NOT_RETURNED:
            for where, kind_name, value in _given_by(event, shape, [argument.kind for argument in step.arguments]):
                name = self._define(step.role, kind_name, value)
                step.gives[where] = name

    def _is_own_directory(self, event: Event) -> bool:
        """Return whether the call opens a directory that the test has made: here that is the current one."""
        if event.name != "open" or not event.arguments[1] & os.O_DIRECTORY:
            return False
        return any(step.name == "mkdir" and step.event.arguments[0] == event.arguments[0] for step in self.steps)

    def _define(self, role: int, kind: str, value: int) -> str:
        name = f"{kind}_{sum(known == kind for known in self.variables.values()) + 1}"
        self.variables[name] = kind
        self._given.setdefault((kind, value), []).append((role, name))
        return name

    def _argument(self, step: Step, kind: Kind, value: Value) -> Argument:
        if isinstance(value, dict):
            self._check_memory(step, value)
            return Argument(kind, value)
        if kind.name in GIVEN and isinstance(value, int) and kind.way == "":
            return self._reference(step, kind, value)
        if kind.is_pointer and value is not None:
            raise Missing(f"the contents of an argument of {step.event.name}")
        return Argument(kind, value)

    def _check_memory(self, step: Step, value: dict[str, Value]) -> None:
        if "at" in value and not value.get("bad"):  # bad: an address without memory
            raise Missing(f"the contents of an argument of {step.event.name}")
        text = value.get("bytes") or value.get("text") or ""
        if len(text) > _LONGEST:
            raise Missing(f"few enough bytes for a source: {step.event.name} has {len(text)}")

    def _reference(self, step: Step, kind: Kind, value: int) -> Argument:
        if kind.name == "pid":
            if value in self.of_pid:
                return Argument(kind, value, role=self.of_pid[value])
            if -value in self.of_pid:
                return Argument(kind, value, role=-self.of_pid[-value] - 1)
            if value <= 1 or step.event.errno:
                return Argument(kind, value)
            raise Missing(f"the begin of process {value}, to which {step.event.name} refers")
        if name := self.variable(step.role, kind.name, value):
            return Argument(kind, value, variable=name)
        if kind.name in ("addr", "sem"):
            if value == 0:
                return Argument(kind, value)
            raise Missing(f"where the address comes from that {step.event.name} takes")
        if value < 0 or value >= 0x7FFF_FFF0 or (kind.name == "fd" and (value <= 2 or value > 900)):
            return Argument(kind, value)
        if kind.name != "fd" and step.event.errno == 22:  # EINVAL: an identifier that nobody has
            return Argument(kind, value)
        raise Missing(f"the {_CALLED[kind.name]} {value} of {step.event.name}, whose origin is not on record")

    def variable(self, role: int, kind: str, value: int) -> str:
        """Return the last variable with this value that the role can know; "" if there is none."""
        line = [role]
        while line[-1]:
            line.append(self.roles[line[-1]].parent)
        for definer, name in reversed(self._given.get((kind, value), [])):
            if kind not in ("fd", "addr", "sem") or definer in line:
                return name
        return ""


_CALLED = {"fd": "descriptor", "msqid": "queue", "semid": "set", "shmid": "segment"}


def _given_by(event: Event, shape: Signature, kinds: Sequence[Kind]) -> Iterator[tuple[str, str, int]]:
    result = shape.result
    if event.name == "fcntl" and event.arguments[1] in (0, 1030):  # F_DUPFD, F_DUPFD_CLOEXEC
        result = "fd"
    if result in GIVEN and result != "pid" and event.result is not None:
        yield "result", result, event.result
    for place, (kind, value) in enumerate(zip(kinds, event.arguments, strict=True)):
        if kind.gives and isinstance(value, dict):
            for number, part in enumerate(value.get("array", ())):
                yield f"{place}.{number}", kind.name, part


def _needed(steps: list[Step], measure: dict[str, Any], measured: int) -> list[Step]:
    """Return the steps without those after the measured one that only others would need."""
    if measure["what"] in ("sleeps", "returns"):
        return [step for step in steps if not (step.name == "(end)" and step.other == steps[measured].role)]
    last = steps[measured]
    # Those that make the measured call return, if it slept, and the ends of processes are kept.
    return [step for step in steps if step.event.begin <= last.event.end]


def _order(steps: list[Step], uncertain: int) -> None:
    """Set the steps of other roles that each step comes after; whether the *uncertain* one returns is not known."""
    awaited: set[tuple[int, int]] = set()  # calls that the test has seen asleep
    for step in steps:
        if step.name == "(asleep)":
            calls = [other for other in steps if other.role == step.other and other.event.is_call]
            begun = [other for other in calls if other.event.begin < step.event.begin]
            if begun:
                awaited.add((step.number, begun[-1].number))
    sleeper = next((step.role for step in steps if step.number == uncertain), -1)
    for place, step in enumerate(steps):
        latest: dict[int, Step] = {}
        for other in steps[:place]:
            if other.role == sleeper and other.number > uncertain:
                continue  # it may never come to this
            if other.role != step.role and other.name not in ("(asleep)", "(nothing)"):
                latest[other.role] = other
        for other in latest.values():
            if other.event.end <= step.event.begin and other.number != uncertain:
                step.after.append(other.number)
            elif other.event.is_call:
                step.asleep.append(other.number)
    for number, call in awaited:
        for step in steps:
            if step.number == number and call not in step.asleep and call not in step.after:
                step.asleep.append(call)


def _expectation(program: Program, maker: _Maker) -> None:
    """Find the role or the variable that an expected number stands for."""
    measure = program.measure
    value = measure.get("value")
    if measure["what"] != "value" or not isinstance(value, int):
        return
    step = next(step for step in program.steps if step.number == program.measured)
    name = str(measure["output"]).rpartition(".")[2]
    if (name.endswith("pid") or _is_pid(step)) and value in maker.of_pid:
        program.expected_role = maker.of_pid[value]
    elif name.endswith("time") and value > 1_000_000_000:
        raise Missing("a time to compare with: it is another one in every run")
    elif name.endswith("pid") and value not in (0, -1):
        raise Missing(f"which process {value} is, whose id is expected")
    elif name == "result" and step.event.is_call and step.shape.result in GIVEN:
        program.expected_variable = maker.variable(step.role, step.shape.result, value)
        if not program.expected_variable and value > 2:
            raise Missing("which call gives the number that is expected")


def _is_pid(step: Step) -> bool:
    event = step.event
    if not event.is_call:
        return False
    return (event.name == "semctl" and event.arguments[2] == 11) or step.shape.result == "pid"

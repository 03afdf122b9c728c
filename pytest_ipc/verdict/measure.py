"""The measure of a deviation: the call of the trace whose outcome deviates, and what it should be.

A measure is a dict for JSON: `event` identifies the call by the begin of its event, `what` is

    errno   the call must fail with one of `errnos`; none means that it must succeed
    value   its output `output` ("result", or an argument and a field, as "1.qnum") must have `relation` to `value`
    sleeps  the call must not return
    returns the call must return

It is found by what the test compares: the output with the observed value, in the last calls. None is found where the
observation is not an output of a call, as the content of shared memory.
"""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from errno import errorcode
from typing import Any

from ..kernel import trace
from ..kernel.signatures import command_kind, signature
from ..kernel.trace import NOT_RETURNED, Event, Value

__all__ = ["of_comparison", "of_error", "of_expected_errno", "of_no_return", "of_no_sleep"]

_LAST = 24  # calls among which the output is searched
_DISTINCTIVE = 1000  # a larger number is not the output of two calls by chance
_RELATIONS = {"==", "!=", "<", "<=", ">", ">=", "is", "is not"}


def of_expected_errno(errnos: Sequence[int], error: OSError | None) -> dict[str, Any] | None:
    """Return the measure of a call that had to fail with one of *errnos*: the last one, or that of *error*."""
    for event in reversed(trace.events()):
        if event.is_call and (error is None or event.errno == error.errno):
            if error is None and event.errno:
                continue
            return {"event": event.begin, "what": "errno", "errnos": sorted(errnos)}
    return None


def of_error(error: OSError) -> dict[str, Any] | None:
    """Return the measure of a call that had to succeed."""
    for event in reversed(trace.events()):
        if event.is_call and event.errno == error.errno:
            return {"event": event.begin, "what": "errno", "errnos": []}
    return None


def of_no_sleep(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return the measure of a child's call that had to sleep, if the test ended when it did not."""
    marks = [event for event in events if event.name == "(asleep)"]
    if not marks or marks[-1].result or any(e.begin > marks[-1].begin and e.pid == marks[-1].pid for e in events):
        return None
    for event in reversed(events):
        if event.pid == marks[-1].arguments[0] and event.is_call:
            return {"event": event.begin, "what": "sleeps"}
    return None


def of_no_return(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return the measure of a child's call that has not returned."""
    for event in reversed(events):
        if event.is_call and event.end == NOT_RETURNED:
            return {"event": event.begin, "what": "returns"}
    return None


def of_comparison(operator: str, left: object, right: object, file: str, line: int) -> dict[str, Any] | None:
    """Return the measure of a comparison that failed, in the source at a line; None if no call explains it."""
    if operator not in _RELATIONS:
        return None
    if operator == "==" and isinstance(left, str) and isinstance(right, str) and (found := _of_outcome(left, right)):
        return found
    relation = {"is": "==", "is not": "!="}.get(operator, operator)
    flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(relation, relation)
    sides = _sides(file, line)
    calls = [event for event in trace.events() if event.is_call]
    if operator in ("==", "is") and (series := _of_series(calls, left, right)) is not None:
        return series or None
    ways = [(left, right, 0, False)]
    if _plain(left) is not None and _plain(right) is not None:
        ways.append((right, left, 1, True))
    for one, other, place, is_flipped in ways:
        source = sides[place] if sides else None
        for observed, expected, words, back in _differences(operator, one, other, source):
            if place_found := _found(calls, observed, words, back):
                event, output = place_found
                sign = flipped if is_flipped else relation
                return {"event": event.begin, "what": "value", "output": output, "relation": sign, "value": expected}
    return None


def _of_series(calls: Sequence[Event], left: Any, right: Any) -> dict[str, Any] | None:
    """Return the measure of several numbers or texts that are the same output of the last calls of one function.

    None if there is none, and an empty one if several functions gave them.
    """
    if not (isinstance(left, list) and isinstance(right, list) and len(left) == len(right) > 1):
        return None
    wanted, expected = [_plain(part) for part in left], [_plain(part) for part in right]
    if None in wanted or None in expected:
        return None
    series: dict[tuple[str, str, tuple[str, ...]], list[tuple[Event, Value]]] = {}
    for event in calls:
        shape = signature(event.name)
        kinds = zip(shape.arguments if shape is not None else (), event.arguments, strict=False)
        commands = tuple(repr(value) for kind, value in kinds if kind.way == "command")  # some are structures
        for name, value, _ in outputs(event):
            series.setdefault((event.name, name, commands), []).append((event, value))
    measures = []
    for (_, name, _), seen in series.items():
        last = seen[-len(wanted) :]
        if [value for _, value in last] == wanted:
            at = next((at for at, pair in enumerate(zip(wanted, expected, strict=True)) if pair[0] != pair[1]), None)
            if at is None:
                return None
            measure = {"event": last[at][0].begin, "what": "value", "output": name}
            measures.append({**measure, "relation": "==", "value": expected[at]})
    return measures[0] if len(measures) == 1 else {} if measures else None


def _of_outcome(observed: str, expected: str) -> dict[str, Any] | None:
    """Return the measure of an outcome by name: "done", or that of an errno, as conformance/outcome.py has it."""
    errnos = {name: number for number, name in errorcode.items()}
    came = errnos.get(observed, 0)
    if expected != "done" and expected not in errnos:
        return None
    for event in reversed(trace.events()):
        if event.is_call and event.errno == came:
            return {"event": event.begin, "what": "errno", "errnos": [errnos[expected]] if expected in errnos else []}
    return None


def _sides(file: str, line: int) -> tuple[ast.expr, ast.expr] | None:
    """Return the compared expressions of the assert statement at a line."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or 0):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Compare) and len(part.ops) == 1:
                    return part.left, part.comparators[0]
    return None


def _words(source: ast.expr | None) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", ast.unparse(source))) if source is not None else frozenset()


Difference = tuple[Value, Value, frozenset[str], int | None]


def _differences(operator: str, left: Any, right: Any, source: ast.expr | None) -> Iterator[Difference]:
    """Yield pairs of an observed and an expected plain value, the words of its source, and its place from the end."""
    if operator in ("==", "is"):
        yield from _pairs(left, right, source, _words(source), None)
    elif (first := _plain(left)) is not None and (second := _plain(right)) is not None:
        yield first, second, _words(source), None


def _pairs(
    left: Any, right: Any, source: ast.expr | None, words: frozenset[str], back: int | None
) -> Iterator[Difference]:
    if (first := _plain(left)) is not None and (second := _plain(right)) is not None:
        if first != second:
            yield first, second, words, back
    elif isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)) and len(left) == len(right):
        if left and all(isinstance(part, int) for part in (*left, *right)):
            yield {"array": [*map(int, left)]}, {"array": [*map(int, right)]}, words, None
        names = getattr(left, "_fields", None)
        elements = source.elts if isinstance(source, (ast.Tuple, ast.List)) and len(source.elts) == len(left) else None
        for place, (one, other) in enumerate(zip(left, right, strict=True)):
            if names is not None:
                yield from _pairs(one, other, None, words | {names[place]}, back)
            elif elements is not None and len({_called(element) for element in elements}) > 1:
                yield from _pairs(one, other, elements[place], _words(elements[place]), None)
            else:
                yield from _pairs(one, other, None, words, len(left) - 1 - place)
    elif is_dataclass(left) and type(left) is type(right):
        for field in fields(left):
            yield from _pairs(getattr(left, field.name), getattr(right, field.name), None, words | {field.name}, back)


def _called(node: ast.expr) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node)


def _plain(value: Any) -> Value:
    """Return a value of a trace: an integer, or bytes; None for any other."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, str) and re.fullmatch(r"-?0[ox][0-9a-f]+", value):  # oct(), hex()
        return int(value, 0)
    return None


def _found(
    calls: Sequence[Event], observed: Value, words: frozenset[str], back: int | None
) -> tuple[Event, str] | None:
    """Return the call with this output, and the output's name: the last one that the source names.

    With *back*, so many calls of the same function follow it. An output that the source does not name is taken only if
    no other output of the last call has its value, or if it is bytes.
    """
    recent = list(calls[: -_LAST - 1 : -1])
    follows: dict[str, int] = {}
    found: list[tuple[Event, str]] = []
    for event in recent:
        for name, value, called in outputs(event):
            if value == observed and (called in words or (_is_named(event, words) and name == "result")):
                if back is None or follows.get(event.name, 0) == back:
                    return event, name
                found.append((event, name))
        if not event.errno:
            follows[event.name] = follows.get(event.name, 0) + 1
    if found and back is None:
        return found[0]
    follows.clear()
    for number, event in enumerate(recent):
        same = [name for name, value, _ in outputs(event) if value == observed]
        is_there = back is None or follows.get(event.name, 0) == back
        if len(same) == 1 and is_there and (isinstance(observed, dict) or (back is None and number == 0)):
            return event, same[0]
        if not event.errno:
            follows[event.name] = follows.get(event.name, 0) + 1
    if isinstance(observed, int) and abs(observed) > _DISTINCTIVE and back is None:
        places = [(event, name) for event in recent for name, value, _ in outputs(event) if value == observed]
        return places[0] if len(places) == 1 else None
    return None


def _is_named(event: Event, words: frozenset[str]) -> bool:
    return any(word == event.name or word.startswith(f"{event.name}_") for word in words)


def outputs(event: Event) -> Iterator[tuple[str, Value, str]]:
    """Yield the outputs of a call: name, value, and the field's own name."""
    if event.errno:
        return
    shape = signature(event.name)
    if shape is None or len(shape.arguments) != len(event.arguments):
        return
    for place, (kind, value) in enumerate(zip(shape.arguments, event.arguments, strict=True)):
        if kind.way == "ctl":
            kind = command_kind(kind.name, int(event.arguments[place - 1])) or kind
        if kind.way not in ("out", "io") or not isinstance(value, dict):
            continue
        if "struct" in value:
            for name, part in value.items():
                if name not in ("struct", "in"):
                    yield f"{place}.{name}", {"bytes": part} if isinstance(part, str) else part, name.split(".")[-1]
        elif "bytes" in value:
            yield str(place), value, event.name
        elif "int" in value:
            yield str(place), value["int"], event.name
        elif "array" in value and all(isinstance(part, int) for part in value["array"]):
            yield str(place), value, event.name
            for number, part in enumerate(value["array"]):
                yield f"{place}.{number}", part, event.name
    if event.result is not None and shape.result not in ("addr", "sem"):
        yield "result", event.result, "id" if shape.result in ("msqid", "semid", "shmid") else event.name

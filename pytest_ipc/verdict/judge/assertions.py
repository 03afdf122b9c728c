"""Describe a failed assertion of a clause in words: the expected and the observed behaviour.

pytest's text of an assertion is for the author of the test: "assert 1 == 3", with cut values. The reader of a verdict
does not know the test. So the compared expression is read from the source, the values are noted when pytest compares
them, and together they make two phrases: "ds.qnum to be 3", "it is 1".

The values of a child exist only in the child, so its assertion becomes a Deviation before it is sent.
"""

from __future__ import annotations

import ast
import linecache
import re
from contextlib import ExitStack
from dataclasses import dataclass
from inspect import currentframe
from traceback import walk_tb
from types import FrameType
from typing import Any

from ...kernel import recorded, trace
from ...kernel.errnos import errno_name
from ...kernel.trace_values import CALLS
from ...processes import child_report
from ..clause import Deviation
from ..measure import of_comparison

__all__ = ["begin", "end", "in_words", "note", "show"]

# A value with a longer repr is described; a sequence of so many items, or more, by its first items.
_LONG = 160
_FEW = 8

_ASSERTION = re.compile(r"^(?:[\w.]+\.)?(?:AssertionError|Deviation)(?:: |$)")
_SYSTEM_ERROR = re.compile(r"^\w+: \[Errno (?P<errno>\d+)\] (?:(?P<call>\w+): )?(?P<text>.*)")
_ENUM = re.compile(r"<\w+\.(\w+): (-?\w+)>")  # <Signals.SIGBUS: 7>

# By operator: the expected relation of the left side to the right side, and the observed one if it does not hold.
_RELATIONS = {
    "==": ("to be", "is not"),
    "is": ("to be", "is not"),
    "!=": ("not to be", "is"),
    "is not": ("not to be", "is"),
    "<": ("to be less than", "is not less than"),
    "<=": ("to be at most", "is more than"),
    ">": ("to be more than", "is not more than"),
    ">=": ("to be at least", "is less than"),
    "in": ("to be in", "is not in"),
    "not in": ("not to be in", "is in"),
}
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.Is: "is",
    ast.NotEq: "!=",
    ast.IsNot: "is not",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


@dataclass(frozen=True)
class _Comparison:
    """The values of a comparison that pytest found to fail, as text, with the place of its assertion."""

    file: str
    line: int
    operator: str
    left: str
    right: str
    is_long: bool  # the right value, so that it is described
    difference: str  # the part of the left value that differs, if one is long
    measure: dict[str, Any] | None = None


_noted: _Comparison | None = None
_judging = False
_recording = ExitStack()  # the recorded functions of Python's modules


def begin() -> None:
    """Note the values of failed comparisons from here on, in children too: the test of a clause begins."""
    global _judging, _noted, _recording
    _judging, _noted = True, None
    child_report.translate = in_words
    _recording.close()
    _recording = ExitStack()
    _recording.enter_context(recorded.installed())
    trace.start(CALLS)


def end() -> None:
    """Stop noting values: the test of a clause has ended."""
    global _judging, _noted
    _judging, _noted = False, None
    child_report.translate = child_report.unchanged
    trace.stop()
    _recording.close()


def note(operator: str, left: object, right: object) -> None:
    """Note the values that pytest compares while it explains an assertion, for in_words()."""
    global _noted
    if not _judging:
        return
    frame = currentframe()
    while frame is not None and re.match(r"_pytest\b|pluggy\b|pytest_ipc\.(plugin|verdict)\b", _module(frame)):
        frame = frame.f_back
    if frame is not None:
        place = frame.f_code.co_filename, frame.f_lineno
        try:
            measure = of_comparison(operator, left, right, *place)
        except Exception:  # noqa: BLE001 - it is of use for a reproducer only: no verdict depends on it
            measure = None
        texts = show(left), show(right)
        _noted = _Comparison(*place, operator, *texts, _is_long(right), _difference(left, right), measure)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def in_words(error: BaseException) -> BaseException:
    """Return the Deviation for *error*, an AssertionError of an assert statement; return other errors unchanged."""
    if not isinstance(error, AssertionError) or isinstance(error, Deviation):
        return error
    *_, (file, line) = [("", 0), *((frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__))]
    statement = _assertion(file, line)
    if statement is None:
        return error
    values = _noted
    if values and not (values.file == file and statement.lineno <= values.line <= (statement.end_lineno or line)):
        values = None
    message, explanation = _parts(str(error), statement)
    expected, observed = _phrases(statement.test, explanation, values)
    deviation = Deviation(expected, f"{observed}: {message}" if message else observed)
    deviation.__dict__.update(error.__dict__)  # its notes
    if values is not None:
        deviation.measure = values.measure
    return deviation.with_traceback(error.__traceback__)


def _assertion(file: str, line: int) -> ast.Assert | None:
    """Return the assert statement at a line of a file, or of the source that linecache has under its name."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return found[-1] if found else None


def _parts(text: str, statement: ast.Assert) -> tuple[str, str]:
    """Return the author's message, on one line, and pytest's explanation of the expression."""
    before, begin, after = ("\n" + text).partition("\nassert ")
    explanation = after.splitlines()[0] if begin and after else ""
    if statement.msg is None:
        return "", explanation
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        # The last line has the error of a program.
        lines = [_ASSERTION.sub("", _SYSTEM_ERROR.sub(_failed, lines[-1]))]
    return " ".join(lines), explanation


def _failed(found: re.Match[str]) -> str:
    call, text = found["call"] or "a call", found["text"]
    return f"{call} failed with {errno_name(int(found['errno']))} ({text})"


def _phrases(test: ast.expr, explanation: str, values: _Comparison | None) -> tuple[str, str]:
    match test:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return _of_comparison(left, operator, right, explanation, values)
        case ast.Compare() if values is not None:  # a < b < c: the pair that failed
            return f"{_source(test)} to hold", f"{values.left} {_RELATIONS[values.operator][1]} {values.right}"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"{_source(operand)} to be false", _it_is(explanation.removeprefix("not "))
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="Deadline"), args=[limit]), attr="until"),
            args=[condition, *_],
        ):
            return f"{_condition(condition)} within {_source(limit)} s", "it did not come to that"
        case ast.Call(func=ast.Name(id="comes_true"), args=[condition]):
            return f"{_condition(condition)} in time", "it did not come to that"
    return f"{_source(test)} to be true", _it_is(explanation)


def _of_comparison(
    left: ast.expr, operator: ast.cmpop, right: ast.expr, explanation: str, values: _Comparison | None
) -> tuple[str, str]:
    expectation, relation = _RELATIONS[_OPERATORS[type(operator)]]
    if values is None:  # not rewritten by pytest, or compared by its parts
        whole = explanation if "..." not in explanation else ""
        return f"{_source(left)} {expectation} {_source(right)}", f"it {relation}{f': {whole}' if whole else ''}"
    is_equality = isinstance(operator, (ast.Eq, ast.Is))
    if is_equality and _is_literal(left) and not _is_literal(right):
        return f"{_source(right)} {expectation} {values.left}", f"it is {values.right}"
    named = _source(right)
    if len(named) > _LONG:
        named = values.right
    elif not (_is_literal(right) or values.is_long):
        named = f"{named}, which is {values.right}"
    difference = values.difference if is_equality else ""
    return f"{_source(left)} {expectation} {named}", difference or f"it is {values.left}"


def _it_is(value: str) -> str:
    """Return the value of an expression in words, if pytest shows all of it."""
    return f"it is {value}" if value and "..." not in value else "it is not"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _condition(function: ast.expr) -> str:
    return _source(function.body if isinstance(function, ast.Lambda) else function)


class _WithoutNames(ast.NodeTransformer):
    """Replace (name := value) by the value: the name is meaningless outside the test."""

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        value: ast.expr = self.visit(node.value)
        return value


def _source(node: ast.expr) -> str:
    return ast.unparse(_WithoutNames().visit(node))


def show(value: object) -> str:
    """Return *value* as text: signals and flags by name, long values described and not cut."""
    try:
        text = _ENUM.sub(r"\1 (\2)", repr(value))
    except Exception as error:  # noqa: BLE001 - a foreign __repr__ may raise anything
        return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
    text = {"set()": "the empty set", "frozenset()": "the empty set"}.get(text, text)
    text = re.sub(r"\bfrozenset\((\{.*?\})\)", r"\1", text)
    if len(text) <= _LONG:
        return text
    if isinstance(value, (str, bytes, bytearray, list, tuple)):
        number = f"{len(value)} {_unit(value)}s"
        if all(part == value[0] for part in value):
            return f"{number}, each of them {show(value[0])}"
        if isinstance(value, (list, tuple)) and len(value) <= _FEW:
            return f"({', '.join(map(show, value))})"
        return f"{number}, the first of them {', '.join(map(show, value[:_FEW]))}"
    return f"{text[:_LONG].rsplit(' ', 1)[0].rstrip(',')} and so on"


def _is_long(value: object) -> bool:
    try:
        return len(repr(value)) > _LONG
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        return True


def _unit(value: object) -> str:
    return "byte" if isinstance(value, (bytes, bytearray)) else "character" if isinstance(value, str) else "item"


def _difference(left: Any, right: Any) -> str:
    """Return the difference of *left* from *right*, if both are long and of one type; "" if they are better shown."""
    try:
        return _first_difference(left, right) if _is_long(left) or _is_long(right) else ""
    except Exception:  # noqa: BLE001 - foreign methods may raise anything
        return ""


def _first_difference(left: Any, right: Any) -> str:
    if not any(
        isinstance(left, kind) and isinstance(right, kind) for kind in (dict, str, bytes, bytearray, list, tuple)
    ):
        return ""
    if isinstance(left, dict):
        where = [key for key in (*left, *right) if key not in left or key not in right or left[key] != right[key]]
        key = where[0]
        if key not in left:
            return f"it has no entry {show(key)}"
        if key not in right:
            return f"it has an entry {show(key)} too many"
        return f"its entry {show(key)} is {_not(left[key], right[key])}"
    unit, lengths = _unit(left), f"it has {len(left)} {_unit(left)}s, not {len(right)}"
    where = [place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]]
    if not where:
        return lengths
    place = where[0]
    text = f"its {unit} {place} is {_not(left[place], right[place])}"
    if len(where) > 1:
        text += f", and {len(where) - 1} more differ"
    return text if len(left) == len(right) else f"{lengths}, and {text}"


def _not(left: Any, right: Any) -> str:
    if (_is_long(left) or _is_long(right)) and (deeper := _first_difference(left, right)):
        return f"not as expected: {deeper}"
    return f"{show(left)}, not {show(right)}"

"""The reasons for which each clause may be untested, read from the source of the suite without running it.

A clause says what it lacks where it finds that out: `untested("needs CAP_X")`, in its test, in a fixture, in a helper that
other files share. So what a test can reach is followed from name to name, and the words that stand there are gathered. A list
of ids beside the suite would be wrong on the day after it was written. What can be reached need not be: how many clauses
are untested somewhere is at most what this says, and a run alone knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..suite import clauses, parse

__all__ = ["UNKNOWN", "asked", "reasons"]

# Stands in a reason for what only a run can fill in.
UNKNOWN = "…"

_RESOURCES = Path(__file__).parents[2] / "resources"


@dataclass(frozen=True)
class _Place:
    """Something that stands at the top of a file: a function, a fixture, a class, a constant."""

    path: Path
    name: str


def asked(root: Path) -> dict[str, frozenset[str]]:
    """By clause of the suite at *root*, the reasons that it may have to be untested; UNKNOWN stands for what varies."""
    return {clause.id: _reachable(root, _Place(clause.path, clause.function)) for clause in clauses(root)}


def reasons(path: Path, call: str = "untested") -> Iterator[str]:
    """Every reason that a file gives: the last argument of each *call* in it."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Call):
            yield from _reason(node, call)


def _reachable(root: Path, test: _Place) -> frozenset[str]:
    seen, todo = set[_Place](), [test, _Place(test.path, "pytestmark")]
    found: set[str] = set()
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            said, names = _content(place)
            found |= said
            for name in names:
                todo += _find(root, place.path, name)
                found |= _of_plugin(name)
    return frozenset(found)


@cache
def _content(place: _Place) -> tuple[set[str], set[str]]:
    """The reasons that stand in a place, and the names in it: what it calls, and the fixtures that it takes."""
    said: set[str] = set()
    names: set[str] = set()
    top = _places(place.path).get(place.name)
    for node in ast.walk(top) if top is not None else ():
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Call):
            said.update(_reason(node, "untested"))
            if isinstance(node.func, ast.Attribute) and node.func.attr == "usefixtures":  # which names them as text
                names |= {str(word.value) for word in node.args if isinstance(word, ast.Constant)}
    return said, names


@cache
def _find(root: Path, path: Path, name: str) -> list[_Place]:
    """Where *name* stands for a file of the suite: in it, where it imports it from, or as a fixture in a conftest."""
    if name in _places(path):
        return [_Place(path, name)]
    if name in (imports := _imports(path)):
        return _find(root, *imports[name])
    return [
        _Place(file, name) for file in (path.parent / "conftest.py", root / "conftest.py") if name in _places(file)
    ][:1]


@cache
def _of_plugin(name: str) -> set[str]:
    """What a fixture of the plugin says of the platform that does not let this process have the object."""
    path = _RESOURCES / f"{name}.py"
    return set(reasons(path, "NotAllowedHere")) if path.is_file() else set()


_parsed = cache(parse)  # a file is asked for many names, and nothing forks here


@cache
def _places(path: Path) -> dict[str, ast.stmt]:
    if not path.is_file():
        return {}
    found: dict[str, ast.stmt] = {}
    for node in _parsed(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
    return found


@cache
def _imports(path: Path) -> dict[str, tuple[Path, str]]:
    """By name, the file of the suite that it is imported from, and its name there."""
    found: dict[str, tuple[Path, str]] = {}
    for node in _parsed(path).body if path.is_file() else ():
        if isinstance(node, ast.ImportFrom) and node.level:
            module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                found[alias.asname or alias.name] = module.with_suffix(".py"), alias.name
    return found


def _reason(node: ast.Call, call: str) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[*_, reason]) if name == call:
            yield _text(reason)


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
    return UNKNOWN

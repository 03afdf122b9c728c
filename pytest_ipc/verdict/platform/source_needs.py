"""Find the possible needs of each clause in the source of the suite, without running it.

A clause declares a need where it finds it unmet: `untested(Need.CAP_IPC_LOCK, …)`, in its test, in a fixture, or in a
shared helper. So the names that a test uses are followed to their definitions, and the needs mentioned there are
collected; a separate list would be outdated by the next clause. A need found this way may be met: the result is the
upper bound of the untested clauses, and only a run shows which they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..need import Need
from ..suite import clauses, parse

__all__ = ["by_clause", "mentioned"]

_RESOURCES = Path(__file__).parents[2] / "resources"


@dataclass(frozen=True)
class _Place:
    """A definition at the top level of a file: a function, a fixture, a class, a constant."""

    path: Path
    name: str


def by_clause(root: Path) -> dict[str, frozenset[Need]]:
    """Return, for each clause of the suite at *root*, the needs that its source mentions."""
    return {clause.id: _reachable(root, _Place(clause.path, clause.function)) for clause in clauses(root)}


def mentioned(path: Path) -> set[Need]:
    """Return the needs that a file mentions: `Need.X` in the suite, the `need` of a class of errors in a resource."""
    return set(_needs(_parsed(path)))


def _needs(top: ast.AST) -> Iterator[Need]:
    for node in ast.walk(top):
        match node:
            case ast.Attribute(value=ast.Name(id="Need"), attr=name):
                yield Need[name]
            case ast.Assign(targets=[ast.Name(id="need")], value=ast.Constant(value=str(id))):
                yield Need(id)


def _reachable(root: Path, test: _Place) -> frozenset[Need]:
    seen, todo = set[_Place](), [test, _Place(test.path, "pytestmark")]
    found: set[Need] = set()
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            needs, names = _content(place)
            found |= needs
            for name in names:
                todo += _find(root, place.path, name)
                found |= _of_plugin(name)
    return frozenset(found)


@cache
def _content(place: _Place) -> tuple[set[Need], set[str]]:
    """Return the needs mentioned in a place, and the names in it: called functions and requested fixtures."""
    names: set[str] = set()
    top = _places(place.path).get(place.name)
    if top is None:
        return set(), names
    for node in ast.walk(top):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "usefixtures":
            names |= {str(word.value) for word in node.args if isinstance(word, ast.Constant)}
    return set(_needs(top)), names


@cache
def _find(root: Path, path: Path, name: str) -> list[_Place]:
    """Return the definitions of *name* in a file of the suite: its own, an imported one, or a conftest's fixture."""
    if name in _places(path):
        return [_Place(path, name)]
    if name in (imports := _imports(path)):
        return _find(root, *imports[name])
    return [
        _Place(file, name) for file in (path.parent / "conftest.py", root / "conftest.py") if name in _places(file)
    ][:1]


@cache
def _of_plugin(name: str) -> set[Need]:
    """Return the needs that a fixture of the plugin reports if this process may not create the object."""
    path = _RESOURCES / f"{name}.py"
    return mentioned(path) if path.is_file() else set()


_parsed = cache(parse)  # each file is read for many names, and nothing forks here


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
    """Return by imported name the file of the suite that it is from, and its name there."""
    found: dict[str, tuple[Path, str]] = {}
    for node in _parsed(path).body if path.is_file() else ():
        if isinstance(node, ast.ImportFrom) and node.level:
            module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                found[alias.asname or alias.name] = module.with_suffix(".py"), alias.name
    return found

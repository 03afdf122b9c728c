"""The location of the conformance suite and its clauses, read from the source without running it.

The suite is installed as pytest_ipc_conformance and is beside the package in a checkout; both have the same files. Ids
are read from the source, so that a command line can be checked and progress counted before pytest starts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from .command_error import CommandError, did_you_mean
from .manual import Source, source

__all__ = ["ClauseTest", "clauses", "location", "names", "parse", "select"]


@dataclass(frozen=True)
class ClauseTest:
    """A clause and the test that states it."""

    id: str
    mechanism: str
    path: Path
    function: str
    page: str = ""
    section: str = ""
    statement: str = ""
    since: str = ""  # the kernel or libc that introduced it
    level: str = ""  # the level, if the clause sets it
    line: int = 0

    @property
    def nodeid(self) -> str:
        """Return the argument with which pytest runs it."""
        return f"{self.path}::{self.function}"

    @property
    def source(self) -> Source:
        """Return the source of the clause: release, level and version."""
        return source(self.page, self.section, self.statement, self.since or None, self.level or None)


def location() -> Path:
    """Return the directory of the suite. CommandError if this installation has none."""
    package = Path(__file__).parents[1]
    for candidate in (package.parent / "pytest_ipc_conformance", package.parent / "conformance"):
        if (candidate / "conftest.py").is_file():
            return candidate
    raise CommandError(f"the conformance suite is not beside {package}: the installation is incomplete")


@cache
def clauses(root: Path) -> tuple[ClauseTest, ...]:
    """Return every clause below *root*, by mechanism and in the order of the files."""
    return tuple(clause for path in sorted(root.glob("*/test_*.py")) for clause in _of_file(path))


def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file of the suite.

    It is not cached: all trees take 50 MB, which every fork of the suite would have to copy.
    """
    return ast.parse(path.read_text(encoding="utf-8"))


def _of_file(path: Path) -> Iterator[ClauseTest]:
    named: dict[str, str] = {}  # constants of a file that name a section
    for node in parse(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                named[name] = text
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=texts)):
                named |= {ast.unparse(name): _text(text, named) for name, text in zip(names, texts, strict=False)}
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                match mark:
                    case ast.Call(
                        func=ast.Name(id="clause"), args=[ast.Constant(value=str(id)), *where], keywords=more
                    ):
                        page, section = (_text(word, named) for word in where[:2])
                        statement = " ".join((ast.get_docstring(node) or "").split()).rstrip(".")
                        since, level = (
                            "".join(ast.literal_eval(word.value) for word in more if word.arg == name)
                            for name in ("since", "level")
                        )
                        facts = page, section, statement, since, level
                        yield ClauseTest(id, path.parent.name, path, node.name, *facts, line=node.lineno)


def _text(word: ast.expr, named: dict[str, str]) -> str:
    match word:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return named.get(name, "")
    return ""


def select(every: Sequence[ClauseTest], names: list[str]) -> list[ClauseTest]:
    """Return the clauses that *names* select; all by default.

    A name is a mechanism ("shm"), a call ("shmget"), a manual page ("shmget(2)"), an id or a pattern of ids
    ("shmget.*"). A mechanism goes before a call of the same name. CommandError for a name that selects none.
    """
    chosen: set[str] = set()
    for name in names:
        found = _named(every, name.removesuffix("()"))
        if not found:
            raise CommandError(
                f"{name!r} is not a mechanism, a call, a manual page, a clause or a pattern of clauses"
                f"{_alternatives(every, name)}"
            )
        chosen |= found
    return [clause for clause in every if not names or clause.id in chosen]


def names(clause: ClauseTest) -> set[str]:
    """Return the names that select a clause: its mechanism, its calls and manual page, its id."""
    return {clause.mechanism, *_calls(clause), clause.id}


def _named(every: Sequence[ClauseTest], name: str) -> set[str]:
    return (
        {clause.id for clause in every if clause.mechanism == name}
        or {clause.id for clause in every if fnmatchcase(clause.id, name)}
        or {clause.id for clause in every if name in _calls(clause)}
    )


def _calls(clause: ClauseTest) -> tuple[str, str, str]:
    return clause.page, clause.page.partition("(")[0], clause.id.partition(".")[0]


def _alternatives(every: Sequence[ClauseTest], name: str) -> str:
    mechanisms = sorted({clause.mechanism for clause in every})
    calls = {call for clause in every for call in _calls(clause)}
    ids = [clause.id for clause in every]
    longer = [id for id in ids if "." in name and id.startswith(name)]
    if longer:
        return f"; did you mean {' or '.join(longer[:3])}?"
    close = did_you_mean(name, mechanisms) or did_you_mean(name, calls) or did_you_mean(name, ids)
    return close or f"; the mechanisms are {', '.join(mechanisms)}, and `pytest-ipc check --list` shows the clauses"

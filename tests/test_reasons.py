"""Every exception that the package ignores, and every error that it hides from mypy, has a reason beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_ipc

PACKAGE = Path(pytest_ipc.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def ignored(source: str) -> Iterator[tuple[int, int]]:
    """Where exceptions are ignored: from the line before the block, or of the handler, to the first statement in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.With):
            calls = [ast.unparse(item.context_expr) for item in node.items]
            if any(call.startswith("suppress(") or call == "failures_ignored" for call in calls):
                yield max(node.lineno - 1, 1), node.body[0].lineno
        elif isinstance(node, ast.ExceptHandler) and all(isinstance(each, ast.Pass) for each in node.body):
            yield node.lineno, node.body[-1].lineno


def without_reason(source: str) -> list[str]:
    lines = source.splitlines()
    places = [lines[first - 1 : last] for first, last in ignored(source)]
    found = ["\n".join(place) for place in places if "#" not in "".join(place)]
    return found + [line for line in lines if re.search(r"# (type|pyright): ignore(\[[\w, -]+\])?\s*$", line)]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_ignored_has_a_reason(module):
    assert without_reason((PACKAGE / module).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "with suppress(OSError):\n    close()",
        "def f():\n    with failures_ignored, open() as file:\n        file.read()",
        "try:\n    close()\nexcept OSError:\n    pass",
        "x = f()  # type: ignore[misc]",
        "x = f()  # pyright: ignore",
    ],
)
def test_missing_reason_is_noticed(source):
    assert len(without_reason(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "with suppress(OSError):  # it is gone\n    close()",
        "# It may be gone.\nwith suppress(OSError):\n    close()",
        "with suppress(OSError):\n    # it is gone\n    close()",
        "try:\n    close()\nexcept OSError:\n    pass  # it is gone",
        "try:\n    close()\nexcept OSError as error:\n    report(error)",
        "x = f()  # type: ignore[misc] # the stub is wrong",
    ],
)
def test_reason_is_recognized(source):
    assert without_reason(source) == []

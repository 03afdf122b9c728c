"""tests/typing/user.py, which the type checkers read, uses every public attribute of every public class."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import pytest_ipc

USER = Path(__file__).parent / "typing" / "user.py"
CLASSES = {
    name: found
    for module, names in pytest_ipc._NAMES.items()
    if not module.startswith("verdict.")
    for name in names
    if inspect.isclass(found := getattr(pytest_ipc, name)) and not issubclass(found, BaseException)
}


def used() -> dict[str, set[str]]:
    """Return by class the attributes that user.py uses, of the parameter with the class's name and of the class."""
    found: dict[str, set[str]] = {}
    for function in ast.parse(USER.read_text()).body:
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = {name.lower(): name for name in CLASSES}
            of = {each.arg: names.get(each.arg.replace("_", ""), "") for each in function.args.args}
            of |= {name: name for name in CLASSES}
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and of.get(node.value.id):
                    found.setdefault(of[node.value.id], set()).add(node.attr)
    return found


def public(cls: type) -> set[str]:
    """Return the public attributes that a class defines itself, those that its __init__ sets included."""
    declared = {name for name in vars(cls) if not name.startswith("_")} | set(vars(cls).get("__annotations__", ()))
    written = vars(cls).get("__init__")
    if written is not None and not is_dataclass(cls):
        declared |= set(re.findall(r"\bself\.([a-z]\w*)(?:: [^=]+)? = ", inspect.getsource(written)))
    return {name for name in declared if not name.startswith("_")}


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_attribute_is_used(name):
    assert public(CLASSES[name]) - used().get(name, set()) == set()


def test_an_attribute_that_is_not_used_would_be_missed():
    assert "attach" in public(pytest_ipc.Segment)
    assert "path" in public(pytest_ipc.Fifo)
    assert "no_such" not in used()["Segment"]

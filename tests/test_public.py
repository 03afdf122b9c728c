"""The public names: one room each, all of them importable from the package, and every module on its own."""

from __future__ import annotations

import ast
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import pytest_ipc

ROOMS = pytest_ipc._ROOMS
# __main__ runs the command; the screen wants rich, which is not needed to use the plugin.
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pytest_ipc.__path__, "pytest_ipc.")
    if module.name != "pytest_ipc.__main__" and not module.name.startswith("pytest_ipc.conformance")
)


def names(room: str) -> list[str]:
    return list(import_module(f"pytest_ipc.{room}").__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_names_are_the_packages(room):
    module = import_module(f"pytest_ipc.{room}")
    assert {name: getattr(pytest_ipc, name) is getattr(module, name) for name in names(room)} == dict.fromkeys(
        names(room), True
    )


def test_no_name_is_declared_in_two_rooms():
    every = [name for room in ROOMS for name in names(room)]
    assert sorted({name for name in every if every.count(name) > 1}) == []


def test_every_public_name_is_listed():
    assert {name for room in ROOMS for name in names(room)} <= set(dir(pytest_ipc))


def test_a_rooms_names_are_in_order():
    for room in ROOMS:
        assert names(room) == sorted(names(room)), room


def test_type_checkers_see_the_same_rooms():
    tree = ast.parse(Path(pytest_ipc.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imported = [
        (node.level, node.module, node.names[0].name) for node in block.body if isinstance(node, ast.ImportFrom)
    ]
    assert sorted(imported) == sorted((1, room, "*") for room in ROOMS)


def test_the_rooms_that_load_pytest_are_asked_last():
    assert ROOMS[-1] == "verdict.clause"
    for room in ROOMS[:-1]:
        source = Path(import_module(f"pytest_ipc.{room}").__file__ or "").read_text()
        assert "import pytest" not in source, room


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_the_first_to_be_imported(program, module):
    parent, _, name = module.rpartition(".")
    program(f"import {module}")
    program(f"from {parent} import {name}")


def test_the_typed_marker_is_shipped():
    assert (Path(pytest_ipc.__file__).parent / "py.typed").is_file()

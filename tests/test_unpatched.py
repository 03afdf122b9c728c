"""What decides about objects, processes and deadlines does not reach for functions that a test may have replaced."""

from __future__ import annotations

import ast
import builtins
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import pytest_ipc
from pytest_ipc import unpatched

PACKAGE = Path(pytest_ipc.__file__).parent
COPIED = {"fcntl", "io", "json", "os", "select", "signal", "socket", "time"}
# Modules of the stdlib whose functions call those of the copied modules, so that they cannot be used unpatched.
BUILT_ON_THEM = {"secrets", "shutil", "subprocess", "tempfile", "random", "uuid"}
# Where the current os._exit is wanted: coverage replaces it to save its data.
ALLOWED = {("bootstrap.py", "os")}


def own_modules() -> list[Path]:
    """Every module that runs in a user's test session; the commands in verdict/ run in a process of their own."""
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "verdict"
        and path.name not in ("unpatched.py", "cli.py", "__main__.py")
    ]


@pytest.mark.parametrize("path", own_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_use_only_unpatched_functions(path):
    wrong = []
    tree = ast.parse(path.read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            functions = [alias.name for alias in node.names if not alias.name.isupper()]  # constants are not patched
            names = [str(node.module)] if functions or node.module in BUILT_ON_THEM else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            names = ["open"] if "open" not in defined else []
        wrong += [
            f"line {getattr(node, 'lineno', 0)}: {name}"
            for name in names
            if name in COPIED | BUILT_ON_THEM | {"open"} and (path.name, name) not in ALLOWED
        ]
    assert wrong == [], "import it from pytest_ipc.unpatched"


def test_a_copy_keeps_its_functions_when_the_original_is_patched(monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)

    def patched(*_arguments, **_named):
        raise AssertionError("the patched function was called")

    own, link = unpatched.os, str(tmp_path / "link")
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "getpid", "readlink", "fspath", "getcwd"):
            patch.setattr(os, name, patched)
        patch.setattr(time, "perf_counter", patched)
        patch.setattr(builtins, "open", patched)
        seen = own.getpid(), own.path.isdir(link), own.path.realpath(link), own.path.lexists(link)
        with unpatched.io.open("/dev/null") as file:
            text, now = file.read(), unpatched.time.perf_counter()
    assert seen == (os.getpid(), True, str(tmp_path), True)
    assert text == ""
    assert now > 0


def test_only_functions_differ_from_the_originals():
    """The environment, constants and types are the same objects: what a test changes there is meant to be seen."""
    for name in COPIED:
        copy, original = getattr(unpatched, name), sys.modules[name]
        for attribute, value in vars(original).items():
            if not (attribute.startswith("_") or callable(value) or isinstance(value, ModuleType)):
                assert vars(copy)[attribute] == value, f"{name}.{attribute}"
    assert unpatched.os.environ is os.environ


def test_patches_from_before_are_not_taken_over(program):
    """As `python -m gevent.monkey` does it: everything is patched before the plugin is loaded."""
    program("""
import os, select, socket, time, types

class Patched(socket.socket):
    pass

for module, names in {
    os: ["fork", "getpid", "waitpid", "read", "stat"],
    select: ["poll", "select"],
    time: ["monotonic", "sleep", "time"],
    socket: ["socket", "socketpair"],
}.items():
    for name in names:
        setattr(module, name, Patched if name == "socket" else "patched")
import pytest_ipc.unpatched as unpatched

pid = unpatched.os.fork()
if pid == 0:
    os._exit(7)
assert unpatched.os.waitpid(pid, 0) == (pid, 7 << 8)
assert unpatched.os.path.isdir("/")
unpatched.select.poll().poll(0)
assert unpatched.time.monotonic() > 0
for end in unpatched.socket.socketpair():
    assert type(end) is Patched.__base__
    end.close()
""")


def test_copies_are_hidden_from_patching_tools():
    for name in COPIED:
        copy = getattr(unpatched, name)
        assert copy is not sys.modules[name]
        assert copy not in sys.modules.values()
        assert copy.__name__ == f"pytest_ipc.unpatched.{name}"


def test_it_is_importable_where_python_has_not_imported_os(program):
    """As the reaper does it: -S imports no site, and from Python 3.13 on nothing else imports os at the start."""
    program(
        """
import contextlib, importlib.util, sys, types
import pytest_ipc
for name in ("os", "os.path", "posixpath", "genericpath"):
    sys.modules.pop(name, None)
import pytest_ipc.unpatched
"""
    )

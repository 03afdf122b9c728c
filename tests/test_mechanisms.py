"""Each mechanism is at the six places of docs/architecture.md, and a place that was forgotten is named.

The places are read from the source, from whichever of them has the mechanism already: a new one needs no entry here,
unless it needs no record.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What the paragraph "A new mechanism" lists.
KERNEL = "`kernel/` and `kernel/__init__.py`"
RESOURCE = "`resources/` and `pytest_ipc/__init__.py`"
KIND = "`custody/kinds/`"
INTERFACE = "`api.py` and `plugin/fixtures.py`"
SUITE = "`conformance/`"
MANUAL = "`docs/reference/fixtures.md`"
PLACES = (KERNEL, RESOURCE, KIND, INTERFACE, SUITE, MANUAL)

# Fixtures that create no IPC object: the owners of all, and processes.
NO_MECHANISM = {"ipc", "ipc_class", "ipc_module", "ipc_package", "ipc_session", "fork", "spawn"}
# Objects that end with the last process that has them, so that nothing has to remove them.
WITHOUT_RECORD = {"pipe", "eventfd", "timerfd", "futex", "signals", "ipc_namespace", "two_hosts"}
# The kernel's modules that mechanisms share: waits, times, C types, Python's own calls on record.
SHARED = {"ipc", "libc", "process", "recorded", "times", "waiting"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    yield from (each for each in ast.walk(node) if isinstance(each, ast.FunctionDef))


def table(path: Path, name: str = "_NAMES") -> dict[str, tuple[str, ...]]:
    """Return the table of names of a package's __init__.py."""
    for node in parsed(path).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value is not None:
            found: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return found
    raise LookupError(f"{path} has no {name}")


def created(root: Path) -> dict[str, Path]:
    """Return the classes of resources/ that a scope can own from the start, and the module of each."""
    found = {}
    for path in (root / "pytest_ipc/resources").glob("*.py"):
        for cls in parsed(path).body:
            if isinstance(cls, ast.ClassDef):
                makers = [each for each in functions(cls) if "classmethod" in map(ast.unparse, each.decorator_list)]
                public = [each for each in makers if not each.name.startswith("_") and each.name != "of"]
                if any(argument.arg == "scope" for maker in public for argument in maker.args.kwonlyargs):
                    found[cls.name] = path
    return found


def offered(root: Path) -> dict[str, str]:
    """By class, the name of the method or attribute of `ipc` that creates it."""
    classes = [*parsed(root / "pytest_ipc/api.py").body, *parsed(root / "pytest_ipc/resources/sockets.py").body]
    aliases = {
        alias.asname: alias.name
        for statement in classes
        for node in ast.walk(statement)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    found = {}
    for cls in classes:
        if isinstance(cls, ast.ClassDef):
            for function in functions(cls):
                for name in re.findall(r"\w+", ast.unparse(function.returns) if function.returns else ""):
                    found[aliases.get(name, name)] = "sockets" if cls.name == "Sockets" else function.name
    return found


def fixtures(root: Path) -> set[str]:
    every = functions(parsed(root / "pytest_ipc/plugin/fixtures.py"))
    return {each.name for each in every if any("fixture" in ast.unparse(mark) for mark in each.decorator_list)}


def described(root: Path) -> set[str]:
    """Return the fixtures with a row in the table of the manual."""
    return {
        name
        for row in re.findall(r"^\| (`.*?) \|", (root / MANUAL.strip("`")).read_text(), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }


def tried(root: Path) -> set[str]:
    """Return the fixtures that clauses use."""
    tests = (test for path in (root / "conformance").glob("*/test_*.py") for test in functions(parsed(path)))
    fixtures = (each for path in (root / "conformance").rglob("conftest.py") for each in functions(parsed(path)))
    return {argument.arg for function in (*tests, *fixtures) for argument in function.args.args}


def recorded(module: Path) -> set[str]:
    """Return the kinds under which the objects of a module are on record."""
    return {
        call.args[0].value
        for call in ast.walk(parsed(module))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("intent", "SysvType", "OwnedFile.create")
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def kinds(root: Path) -> set[str]:
    """Return the kinds with a row in custody."""
    folder = root / "pytest_ipc/custody/kinds"
    listed = {
        alias.name
        for node in parsed(folder / "__init__.py").body
        if isinstance(node, ast.ImportFrom) and not node.module
        for alias in node.names
    }
    return {
        node.value
        for name in listed
        for node in ast.walk(parsed(folder / f"{name}.py"))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def called(module: Path) -> set[str]:
    """Return the kernel's modules that a module takes calls from."""
    return {
        (node.module or "").removeprefix("kernel.")
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ImportFrom) and node.level == 2 and (node.module or "").startswith("kernel.")
    }


def forgotten(root: Path) -> dict[str, list[str]]:
    """By mechanism, the places at which it is missing."""
    classes, names = created(root), offered(root)
    by_fixture, rows, clauses = fixtures(root) - {"ipc_scope"}, described(root), tried(root)
    public = {name for listed in table(root / "pytest_ipc/__init__.py").values() for name in listed}
    calls, rows_of_custody = set(table(root / "pytest_ipc/kernel/__init__.py")), kinds(root)
    of_class = {name: cls for cls, name in names.items() if cls in classes}
    mechanisms = {
        *of_class,
        *(cls for cls in classes if cls not in names),
        *by_fixture,
        *rows & by_fixture,
    } - NO_MECHANISM
    found: dict[str, list[str]] = {}
    for name in sorted(mechanisms):
        cls = of_class.get(name, name)
        module = classes.get(cls)
        uses = called(module) - SHARED if module else set()
        on_record = recorded(module) if module else set()
        is_there = {
            KERNEL: bool(uses) and uses <= calls,
            RESOURCE: module is not None and cls in public,
            KIND: bool(on_record or name in WITHOUT_RECORD) and on_record <= rows_of_custody,
            INTERFACE: name in of_class and name in by_fixture,
            SUITE: name in clauses,
            MANUAL: name in rows,
        }
        if missing := [place for place in PLACES if not is_there[place]]:
            found[name] = missing
    return found


def test_each_mechanism_is_at_each_place():
    assert forgotten(ROOT) == {}


def test_documentation_lists_these_places():
    text = (ROOT / "docs/architecture.md").read_text()
    paragraph = text.partition("**A new mechanism**")[2].partition("\n\n**")[0]
    assert len(PLACES) <= 6
    assert re.findall(r"^\d\. (.*?):", paragraph, re.MULTILINE) == list(PLACES)


def without(pattern: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        text, count = re.subn(pattern, "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        assert count == 1, (path, pattern, count)
        path.write_text(text)

    return edit


def gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


OMISSIONS: dict[str, tuple[str, str, str, Callable[[Path], None]]] = {
    "public calls": (KERNEL, "futex", "pytest_ipc/kernel/__init__.py", without(r'^    "futexes": \(.*?\),\n')),
    "class": (RESOURCE, "fifo", "pytest_ipc/resources/fifo.py", gone),
    "public name": (RESOURCE, "fifo", "pytest_ipc/__init__.py", without(r'^    "resources.fifo": .*?\n')),
    "kind": (KIND, "fifo", "pytest_ipc/custody/kinds/__init__.py", without(r"^    fifo,\n")),
    "method": (INTERFACE, "Fifo", "pytest_ipc/api.py", without(r"^    def fifo\(.*?\n\n(?=    def )")),
    "fixture": (INTERFACE, "fifo", "pytest_ipc/plugin/fixtures.py", without(r"^@pytest.fixture\ndef fifo\(.*?\n\n\n")),
    "clauses": (SUITE, "sysv_msg", "conformance/msg", gone),
    "row": (MANUAL, "fifo", MANUAL.strip("`"), without(r"^\| `fifo` .*?\n")),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("pytest_ipc", "conformance"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "template", "known"))
    manual = tmp_path / MANUAL.strip("`")
    manual.parent.mkdir(parents=True)
    shutil.copy(ROOT / MANUAL.strip("`"), manual)
    return tmp_path


@pytest.mark.parametrize("omission", OMISSIONS)
def test_forgotten_place_is_named(copy, omission):
    place, name, path, omit = OMISSIONS[omission]
    assert forgotten(copy) == {}
    omit(copy / path)
    assert place in forgotten(copy)[name]


def test_new_class_alone_names_the_other_places(copy):
    (copy / "pytest_ipc/resources/doors.py").write_text(
        "class Door:\n    @classmethod\n    def create(cls, *, scope=None): ...\n"
    )
    assert forgotten(copy) == {"Door": list(PLACES)}

"""The public names: `pytest_ipc` and `pytest_ipc.kernel` list each once and import it when it is first used."""

from __future__ import annotations

import ast
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import pytest_ipc
from pytest_ipc import kernel

PACKAGES = [pytest_ipc, kernel]
ENTRIES = [(package, module) for package in PACKAGES for module in package._NAMES]
# __main__ runs the command; the screen wants rich, which is not needed to use the plugin.
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pytest_ipc.__path__, "pytest_ipc.")
    if module.name != "pytest_ipc.__main__"
)


def short(value: object) -> str | None:
    return value.__name__ if isinstance(value, ModuleType) else None


@pytest.mark.parametrize(("package", "module"), ENTRIES, ids=short)
def test_a_name_is_the_module_s_own(package, module):
    listed = package._NAMES[module]
    owner = import_module(f"{package.__name__}.{module}")
    assert [name for name in listed if getattr(package, name) is not getattr(owner, name)] == []
    assert list(listed) == sorted(listed)
    if not (package is pytest_ipc and module.startswith("kernel.")):  # of which few are here too
        assert list(listed) == sorted(owner.__all__)


def test_every_kernel_module_with_public_names_is_listed():
    folder = Path(kernel.__file__).parent
    public = {path.stem for path in folder.glob("[!_]*.py") if "\n__all__ = " in path.read_text()}
    assert public == set(kernel._NAMES)


@pytest.mark.parametrize("package", PACKAGES, ids=short)
def test_public_names_are_unique(package):
    every = [name for names in package._NAMES.values() for name in names]
    assert sorted({name for name in every if every.count(name) > 1}) == []
    assert {
        name for name in every if name in {module.name for module in pkgutil.iter_modules(package.__path__)}
    } == set()


@pytest.mark.parametrize("package", PACKAGES, ids=short)
def test_every_public_name_is_in_dir_and_in_all(package):
    every = {name for names in package._NAMES.values() for name in names}
    assert every <= set(dir(package))
    assert every <= set(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=short)
def test_type_checkers_see_the_same_names(package):
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen: dict[str | None, tuple[str, ...]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        names = [alias.name for alias in node.names]
        seen.setdefault(node.module, ())
        seen[node.module] += tuple(package._NAMES[str(node.module)]) if names == ["*"] else tuple(names)
    assert seen == package._NAMES


@pytest.mark.parametrize("package", ["pytest_ipc", "pytest_ipc.kernel"])
def test_a_wrong_name_imports_nothing(program, package):
    program(
        f"""
import sys
import {package} as package
before = set(sys.modules)
try:
    package.no_such_name
except AttributeError as error:
    assert str(error) == "module '{package}' has no attribute 'no_such_name'", error
else:
    raise SystemExit("no AttributeError")
assert not hasattr(package, "actors")
assert {{name for name in sys.modules if "pytest_ipc" in name}} - before == set()
"""
    )


def test_only_clauses_load_pytest(program):
    names = [name for module, found in pytest_ipc._NAMES.items() if module != "verdict.clause" for name in found]
    program(
        f"""
import sys
import pytest_ipc
for name in {names}:
    getattr(pytest_ipc, name)
assert "pytest" not in sys.modules
"""
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_the_first_to_be_imported(program, module):
    parent, _, name = module.rpartition(".")
    program(f"import {module}")
    program(f"from {parent} import {name}")


def test_the_typed_marker_is_shipped():
    assert (Path(pytest_ipc.__file__).parent / "py.typed").is_file()

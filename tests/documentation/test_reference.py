"""The reference lists everything that is public: names, modules of kernel calls, options, markers, hooks, kinds."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc import kernel
from pytest_ipc.audit.detectors import KINDS
from pytest_ipc.plugin import hooks

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "docs/reference"
SOURCE = ast.parse(Path(hooks.__file__).read_text())


def first_arguments(call: str) -> set[str]:
    """Return the first arguments of the calls *call* in plugin/hooks.py."""
    return {
        node.args[0].value
        for node in ast.walk(SOURCE)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(f".{call}")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def in_tables(page: str) -> set[str]:
    """Return the words of the first cells of the tables of a page: `--ipc-leaks=POLICY` is --ipc-leaks."""
    text = (REFERENCE / page).read_text()
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(-{0,2}[\w-]+)", cell)}


def test_every_public_name_is_in_the_api_reference_once():
    listed = re.findall(r"^\.\. auto\w+:: pytest_ipc\.(\w+)$", (REFERENCE / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(set(pytest_ipc.__all__) - {"__version__"})


@pytest.mark.parametrize("name", sorted(set(pytest_ipc.__all__) - {"DEFAULT", "Snapshot", "Timeout", "__version__"}))
def test_everything_public_has_a_docstring(name):
    """Sphinx leaves out what has none."""
    public = getattr(pytest_ipc, name)
    members = vars(public).items() if inspect.isclass(public) else ()
    methods = {
        member: getattr(value, "fget", None) or getattr(value, "__func__", value)
        for member, value in members
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, (property, classmethod)))
    }
    assert inspect.getdoc(public)
    assert [member for member, method in methods.items() if not inspect.getdoc(method)] == []


def test_every_kernel_module_is_in_the_reference_once():
    text = (REFERENCE / "kernel.md").read_text()
    assert sorted(re.findall(r"automodule:: pytest_ipc\.kernel\.(\w+)$", text, re.MULTILINE)) == sorted(kernel._NAMES)


@pytest.mark.parametrize("call", ["addoption", "addini"])
def test_options_and_ini_values_are_in_the_reference(call):
    names = first_arguments(call)
    assert len(names) >= 4
    assert names <= in_tables("configuration.md")


def test_markers_and_hooks_are_in_the_reference():
    specified = {name for name in vars(hooks._HookSpecs) if name.startswith("pytest_")}
    assert specified
    assert hooks._MARKERS.keys() | specified <= in_tables("configuration.md")


def test_kinds_of_leaks_are_in_the_reference():
    assert [*KINDS] == re.findall(r"^\| `([\w-]+)` \|", (REFERENCE / "leaks.md").read_text(), re.MULTILINE)


def test_every_page_is_in_the_table_of_contents():
    """Sphinx reports it too, but is not installed everywhere."""
    docs = PROJECT / "docs"
    index = (docs / "index.md").read_text()
    listed = set(
        re.findall(r"^([\w/-]+)$", "\n".join(re.findall(r"```{toctree}(.*?)```", index, re.DOTALL)), re.MULTILINE)
    )
    pages = {str(page.relative_to(docs).with_suffix("")) for page in docs.rglob("*.md")}
    assert {page for page in pages if not re.match(r"index$|decisions/\d", page)} == listed


LINK = re.compile(r"\[[^]]*\]\(([^)#\s:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "page",
    [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(PROJECT)),
)
def test_links_to_files_are_not_broken(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []

"""Every need has one row with its remedy, and every row is a need of a clause."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc import Need
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.judge import limits_reached, outcome
from pytest_ipc.verdict.platform import source_needs
from pytest_ipc.verdict.platform.needs import NEEDS


def needs_of_the_suite() -> set[Need]:
    return set().union(*source_needs.by_clause(suite.location()).values())


def needs_of_the_package() -> set[Need]:
    """Return the needs that the judge finds itself, and those of resources."""
    package = Path(pytest_ipc.__file__).parent
    files = [*package.glob("resources/*.py"), Path(outcome.__file__), Path(limits_reached.__file__)]
    return set().union(*map(source_needs.mentioned, files))


def test_every_need_has_a_row():
    assert set(NEEDS) == set(Need)
    assert len({row.name for row in NEEDS.values()}) == len(NEEDS)


def test_every_row_is_used():
    assert needs_of_the_suite() | needs_of_the_package() == set(Need)


def test_every_probe_is_a_need_of_a_clause():
    probed = {need for need, row in NEEDS.items() if row.lack is not None}
    assert probed - needs_of_the_suite() <= needs_of_the_package()


def test_ids_are_words_for_files_and_addresses():
    assert all(need.value.replace("-", "").isalpha() and need.value.islower() for need in Need)
    assert all(need.name.lower().replace("_", "-") in (need.value, "files-of-others") for need in Need)


def free_texts(path: Path) -> list[int]:
    """Return the lines on which *path* reports a clause untested without a need."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "untested" and not names_a_need(call.args)
    ]


def names_a_need(arguments: list[ast.expr]) -> bool:
    match arguments:
        case [ast.Attribute(value=ast.Name(id="Need")) | ast.Call(func=ast.Name(id="need_of")), _]:
            return True
    return False


def test_every_clause_reports_its_need_as_data():
    found = {str(path): free_texts(path) for path in suite.location().rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("call", ['untested("needs x")', 'untested(need, "needs x")', "untested(Need.TIME)"])
def test_free_text_would_be_noticed(tmp_path, call):
    path = tmp_path / "test_it.py"
    path.write_text(call)
    assert free_texts(path) == [1]


@pytest.mark.parametrize(
    ("limit", "need"),
    [
        ("RLIMIT_NOFILE is 64, and a clause opens up to 300", Need.PROCESS_LIMITS),
        ("pids.max of the control group is 20, and 12 are in use", Need.PROCESS_LIMITS),
        ("kernel.shmmni is 1, less than its default of 4,096", Need.MACHINE_LIMITS),
        ("/dev/shm has room for 0 bytes", Need.RESOURCES),
        ("/dev/shm is mounted read-only", Need.FILE_SYSTEM),
    ],
)
def test_limit_in_the_way_is_a_need(limit, need):
    assert limits_reached.need_of(limit) is need

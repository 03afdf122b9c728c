"""The clauses of the suite are found in its source as pytest finds them, and selected by names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.command_error import CommandError


@pytest.fixture(scope="module")
def every() -> tuple[suite.ClauseTest, ...]:
    return suite.clauses(suite.location())


def test_ids_are_unique(every):
    ids = [clause.id for clause in every]
    assert len(ids) == len(set(ids))


def test_source_and_pytest_agree_on_the_clauses(every, pytester):
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-q", "--collect-only", f"--rootdir={suite.location()}", suite.location()
    )
    tests = set(re.findall(r"(\w+/test_\w+\.py)::(\w+)", result.stdout.str()))
    assert tests == {(f"{clause.path.parent.name}/{clause.path.name}", clause.function) for clause in every}


def test_names_select_mechanisms_ids_and_patterns(every):
    assert {clause.mechanism for clause in suite.select(every, ["shm"])} == {"shm"}
    assert [clause.id for clause in suite.select(every, ["shmget.private-always-new"])] == ["shmget.private-always-new"]
    assert {clause.id.split(".")[0] for clause in suite.select(every, ["shmdt.*"])} == {"shmdt"}
    assert suite.select(every, []) == list(every)


def test_every_clause_has_its_position_without_being_run(every):
    """A remote platform sends ids and verdicts; page, section and statement come from here."""
    assert [clause.id for clause in every if not (clause.page and clause.section and clause.statement)] == []


def test_unknown_name_is_reported(every):
    with pytest.raises(CommandError, match=r"'shmgte\.\*' is not a mechanism, a call, .* did you mean shmget"):
        suite.select(every, ["shm", "shmgte.*"])


def test_installation_without_the_suite_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(suite, "__file__", str(tmp_path / "pytest_ipc" / "verdict" / "suite.py"))
    with pytest.raises(CommandError, match="the installation is incomplete"):
        suite.location()


def test_ordinary_tests_are_ignored(tmp_path: Path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "test_it.py").write_text(
        "@clause('a.one', 'a(2)', 'S')\ndef test_one(): 'One.'\n"
        "@pytest.mark.skip\ndef test_two(): pass\n"
        "@clause(name, 'a(2)', 'S')\ndef test_three(): pass\n"
    )
    assert [(found.id, found.mechanism) for found in suite.clauses(tmp_path)] == [("a.one", "some")]

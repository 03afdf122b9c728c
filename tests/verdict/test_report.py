"""A report is what its schema says; what is not one is refused in one sentence, and by the schema as well."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from pytest_ipc.verdict.reports import writer
from pytest_ipc.verdict.reports.reader import Reader, ReportError

from . import reports

EVERY = {
    "shm.holds": reports.HOLDS,
    "shm.deviates": reports.DEVIATES,
    "mq.absent": reports.ABSENT,
    "shm.untested": reports.UNTESTED,
    "shm.disputed": reports.DISPUTED,
    "shm.broken": reports.BROKEN,
}


def test_a_report_is_what_its_schema_says():
    found = reports.make("box", EVERY, broken=("the suite: failed",))
    reports.validate(found)
    assert found["schema"] == writer.SCHEMA == reports.schema()["properties"]["schema"]["const"]
    assert found["date"] == "2026-01-01T12:30:00Z"
    assert [clause["id"] for clause in found["clauses"]] == sorted(EVERY)
    assert set(found) == set(reports.schema()["required"])
    clause = reports.schema()["$defs"]["clause"]
    assert set(found["clauses"][0]) == set(clause["properties"])
    assert set(clause["properties"]) - set(clause["required"]) == {"evidence", *SOURCE}  # reports of before have none


def test_what_is_written_is_read(tmp_path):
    reader = Reader()
    found = reader.read(reports.write(tmp_path, "box", EVERY, broken=("the suite: failed",)))
    assert found.verdicts == EVERY
    assert (found.name, found.date, found.broken) == ("box", "2026-01-01T12:30:00Z", ["the suite: failed"])
    assert (found.platform, found.exit_status) == (reports.PLATFORM, 3)
    assert reader.clauses["mq.absent"].page == "mq(2)"


def test_evidence_is_read_and_a_report_without_is_one(tmp_path):
    path = reports.write(tmp_path, "box", {"a.b": reports.SEEN})
    assert json.loads(path.read_text())["clauses"][0]["evidence"] == list(reports.SEEN.evidence)
    assert Reader().read(path).verdicts["a.b"].evidence == reports.SEEN.evidence
    older = reports.make("older", {"a.b": reports.SEEN})
    del older["clauses"][0]["evidence"]
    reports.validate(older)
    writer.write(tmp_path / "older.json", older)
    reader = Reader()
    assert reader.read(tmp_path / "older.json").verdicts["a.b"].evidence == ()
    assert reader.read(path).verdicts["a.b"].evidence == reports.SEEN.evidence
    assert reader.read(path).verdicts["a.b"] is reader.read(path).verdicts["a.b"]


def test_the_latest_report_states_a_clause(tmp_path):
    reader = Reader()
    for day, statement in ((2, "new"), (1, "old")):
        found = reports.make("box", {"a.b": reports.HOLDS}, day=day)
        found["clauses"][0]["statement"] = statement
        writer.write(tmp_path / "r.json", found)
        reader.read(tmp_path / "r.json")
    assert reader.clauses["a.b"].statement == "new"


def test_what_a_newer_writer_added_is_passed_over(tmp_path):
    found = reports.make("box", EVERY)
    found["new"] = found["clauses"][0]["new"] = {"a": [1]}
    reports.validate(found)
    writer.write(tmp_path / "r.json", found)
    assert Reader().read(tmp_path / "r.json").verdicts == EVERY


SOURCE = ("manual", "level", "since")  # of a clause; reports of before have none
WRONG: tuple[Any, ...] = ("missing", None, 3.5, ["text"], True)


def wrong() -> Iterator[tuple[str, Any]]:
    """Reports with one thing wrong each: every member of the schema missing, and of another type."""
    whole = reports.make("box", EVERY)
    for name in whole:
        for value in WRONG:
            if name == "broken" and value == ["text"]:
                continue
            found = copy.deepcopy(whole)
            if value == "missing":
                del found[name]
            else:
                found[name] = value
            yield f"{name} {value}", found
    for name in whole["clauses"][0]:
        for value in WRONG:
            if (name, value) == ("seconds", 3.5) or (name == "evidence" and value in ("missing", ["text"])):
                continue
            if name in SOURCE and value == "missing":
                continue
            found = copy.deepcopy(whole)
            if value == "missing":
                del found["clauses"][0][name]
            else:
                found["clauses"][0][name] = value
            yield f"clause {name} {value}", found
    for name, value in {
        "date": "yesterday",
        "name": " ",
        "schema": 0,
        "platform": {"kernel": 6},
        "broken": [1],
    }.items():
        yield f"{name} {value}", whole | {name: value}
    more = {"id": "no id", "verdict": "fine", "seconds": -1, "evidence": ["text", 1], "level": "bsd"}
    for name, value in more.items():
        found = copy.deepcopy(whole)
        found["clauses"][0][name] = value
        yield f"clause {name} {value}", found


@pytest.mark.parametrize("found", [pytest.param(found, id=id) for id, found in wrong()])
def test_the_schema_and_the_reader_refuse_the_same(tmp_path, found):
    with pytest.raises(jsonschema.ValidationError):
        reports.validate(found)
    (tmp_path / "r.json").write_text(json.dumps(found))
    with pytest.raises(ReportError, match=r"r\.json is .*no report of pytest-ipc: ") as caught:
        Reader().read(tmp_path / "r.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the report .* is empty"),
        ("\n ", "the report .* is empty"),
        ("hello", "is not JSON: Expecting value"),
        (b"\xff\xfe\x00", "is not JSON: "),
        ("[1]", "is JSON, but no report of pytest-ipc: it has no schema"),
        ("3", "is JSON, but no report of pytest-ipc: it has no schema"),
        ('{"name": "x"}', "is JSON, but no report of pytest-ipc: it has no schema"),
        ('{"schema": 2}', "has the schema 2, and this pytest-ipc reads up to 1: upgrade it"),
        ("[" * 100_000, "is no report of pytest-ipc: it is nested too deep"),
        ('{"schema": ' + "1" * 5000 + "}", "is not JSON: "),
    ],
)
def test_what_is_no_report(tmp_path, text, sentence):
    (tmp_path / "r.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ReportError, match=sentence):
        Reader().read(tmp_path / "r.json")


def test_a_truncated_report_is_told_wherever_it_was_cut(tmp_path):
    found = reports.make("bóx", {"a.b": reports.DEVIATES})
    text = json.dumps(found, indent=1, ensure_ascii=False).encode()
    for end in range(1, len(text)):
        (tmp_path / "r.json").write_bytes(text[:end])
        with pytest.raises(ReportError, match=f"is truncated: it ends after {end} bytes"):
            Reader().read(tmp_path / "r.json")


def test_a_clause_that_stands_twice(tmp_path):
    found = reports.make("box", {"a.b": reports.HOLDS})
    found["clauses"] *= 2
    writer.write(tmp_path / "r.json", found)
    with pytest.raises(ReportError, match=r"the clause 'a\.b' stands twice"):
        Reader().read(tmp_path / "r.json")


@pytest.mark.parametrize("path", ["no-such.json", "."])
def test_a_file_that_cannot_be_read(tmp_path, path):
    with pytest.raises(ReportError, match="cannot be read: "):
        Reader().read(tmp_path / path)


def test_a_terminal_does_not_obey_a_report(tmp_path):
    found = reports.make("box\x1b]0;title\x07", {"a.b": reports.HOLDS})
    found["clauses"][0]["reason"] = "two\nlines \ud800 and \x1b[2J"
    found["platform"]["kernel"] = "\x1b[31m"
    found["clauses"][0]["evidence"] = ["\x1b[2J"]
    writer.write(tmp_path / "r.json", found)
    read = Reader().read(tmp_path / "r.json")
    assert read.name == "box\\x1b]0;title\\x07"
    assert read.verdicts["a.b"].reason == "two lines \\ud800 and \\x1b[2J"
    assert read.platform["kernel"] == "\\x1b[31m"
    assert read.verdicts["a.b"].evidence == ("\\x1b[2J",)

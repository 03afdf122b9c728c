"""A report matches its schema; an invalid one is refused in one sentence, and by the schema as well."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.reports import writer
from pytest_ipc.verdict.reports.reader import Reader
from pytest_ipc.verdict.result import Verdict

from . import reports

EVERY = {
    "shm.holds": reports.HOLDS,
    "shm.deviates": reports.DEVIATES,
    "mq.absent": reports.ABSENT,
    "shm.untested": reports.UNTESTED,
    "shm.disputed": reports.DISPUTED,
    "shm.broken": reports.BROKEN,
}


def test_report_matches_its_schema():
    found = reports.make("box", EVERY, broken=("the suite: failed",))
    reports.validate(found)
    assert found["schema"] == writer.SCHEMA == reports.schema()["properties"]["schema"]["const"]
    assert found["date"] == "2026-01-01T12:30:00Z"
    assert [clause["id"] for clause in found["clauses"]] == sorted(EVERY)
    assert set(found) == set(reports.schema()["required"])
    clause = reports.schema()["$defs"]["clause"]
    assert set(found["clauses"][0]) == set(clause["properties"]) - {"trace"}  # which only a deviation has
    # Missing in earlier reports.
    assert set(clause["properties"]) - set(clause["required"]) == {"evidence", "trace", *SOURCE}


def test_written_report_is_read_back(tmp_path):
    reader = Reader()
    found = reader.read(reports.write(tmp_path, "box", EVERY, broken=("the suite: failed",)))
    assert found.verdicts == EVERY
    assert (found.name, found.date, found.broken) == ("box", "2026-01-01T12:30:00Z", ["the suite: failed"])
    assert (found.platform, found.exit_status) == (reports.PLATFORM, 3)
    assert reader.clauses["mq.absent"].page == "mq(2)"


def test_trace_is_read_back(tmp_path):
    trace: dict[str, Any] = {"events": [], "measure": None}
    seen = replace(reports.SEEN, trace=json.dumps(trace))
    path = reports.write(tmp_path, "box", {"a.b": seen})
    reports.validate(json.loads(path.read_text()))
    assert json.loads(path.read_text())["clauses"][0]["trace"] == trace
    assert json.loads(Reader().read(path).verdicts["a.b"].trace) == trace


def test_evidence_is_optional(tmp_path):
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


def test_report_of_schema_1_has_no_needs(tmp_path):
    path = reports.write(tmp_path, "box", {"a.b": reports.UNTESTED})
    assert Reader().read(path).verdicts["a.b"].need == "cap-ipc-owner"
    older = json.loads(path.read_text()) | {"schema": 1}
    del older["clauses"][0]["need"]
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert Reader().read(tmp_path / "older.json").verdicts == {"a.b": Verdict("untested", reports.UNTESTED.reason)}


def test_latest_report_states_a_clause(tmp_path):
    reader = Reader()
    for day, statement in ((2, "new"), (1, "old")):
        found = reports.make("box", {"a.b": reports.HOLDS}, day=day)
        found["clauses"][0]["statement"] = statement
        writer.write(tmp_path / "r.json", found)
        reader.read(tmp_path / "r.json")
    assert reader.clauses["a.b"].statement == "new"


def test_unknown_fields_are_ignored(tmp_path):
    found = reports.make("box", EVERY)
    found["new"] = found["clauses"][0]["new"] = {"a": [1]}
    reports.validate(found)
    writer.write(tmp_path / "r.json", found)
    assert Reader().read(tmp_path / "r.json").verdicts == EVERY


SOURCE = ("manual", "level", "since")  # missing in earlier reports
WRONG: tuple[Any, ...] = ("missing", None, 3.5, ["text"], True)


def wrong() -> Iterator[tuple[str, Any]]:
    """Yield reports with one fault each: every member of the schema missing, and of another type."""
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
    more = {"id": "no id", "verdict": "fine", "seconds": -1, "evidence": ["text", 1], "level": "bsd", "need": "a need"}
    for name, value in more.items():
        found = copy.deepcopy(whole)
        found["clauses"][0][name] = value
        yield f"clause {name} {value}", found


@pytest.mark.parametrize("found", [pytest.param(found, id=id) for id, found in wrong()])
def test_schema_and_reader_refuse_the_same_reports(tmp_path, found):
    with pytest.raises(jsonschema.ValidationError):
        reports.validate(found)
    (tmp_path / "r.json").write_text(json.dumps(found))
    with pytest.raises(CommandError, match=r"r\.json is .*not a valid report: ") as caught:
        Reader().read(tmp_path / "r.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the report .* is empty"),
        ("\n ", "the report .* is empty"),
        ("hello", "is not JSON: Expecting value"),
        (b"\xff\xfe\x00", "is not JSON: "),
        ("[1]", "is JSON, but not a valid report: it has no schema"),
        ("3", "is JSON, but not a valid report: it has no schema"),
        ('{"name": "x"}', "is JSON, but not a valid report: it has no schema"),
        ('{"schema": 3}', "has schema 3, but this pytest-ipc reads up to 2: upgrade pytest-ipc"),
        ("[" * 100_000, "is not a valid report: it is nested too deep"),
        ('{"schema": ' + "1" * 5000 + "}", "is not JSON: "),
    ],
)
def test_invalid_report_is_refused(tmp_path, text, sentence):
    (tmp_path / "r.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CommandError, match=sentence):
        Reader().read(tmp_path / "r.json")


def test_truncated_report_is_recognized_at_every_length(tmp_path):
    found = reports.make("bóx", {"a.b": reports.DEVIATES})
    text = json.dumps(found, indent=1, ensure_ascii=False).encode()
    for end in range(1, len(text)):
        (tmp_path / "r.json").write_bytes(text[:end])
        with pytest.raises(CommandError, match=f"is truncated: it ends after {end} byte{'s' if end > 1 else ''}$"):
            Reader().read(tmp_path / "r.json")


def test_missing_member_is_named_as_missing(tmp_path):
    found = reports.make("box", {"a.b": reports.HOLDS})
    del found["date"]
    writer.write(tmp_path / "r.json", found)
    with pytest.raises(CommandError, match=r"r\.json is not a valid report: its 'date' is missing$"):
        Reader().read(tmp_path / "r.json")


def test_duplicate_clause_is_refused(tmp_path):
    found = reports.make("box", {"a.b": reports.HOLDS})
    found["clauses"] *= 2
    writer.write(tmp_path / "r.json", found)
    with pytest.raises(CommandError, match=r"duplicate clause id 'a\.b'"):
        Reader().read(tmp_path / "r.json")


@pytest.mark.parametrize("path", ["no-such.json", "."])
def test_unreadable_file_is_reported(tmp_path, path):
    with pytest.raises(CommandError, match="cannot be read: "):
        Reader().read(tmp_path / path)


def test_control_characters_of_a_report_are_escaped(tmp_path):
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

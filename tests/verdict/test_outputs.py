"""The files of a check for other programs: JUnit XML, CTRF and a summary in Markdown."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.commands import outputs
from pytest_ipc.verdict.reports import ctrf, expectations, junit, markdown
from pytest_ipc.verdict.reports.expectations import Comparison, Expectation
from pytest_ipc.verdict.reports.judged import Judged
from pytest_ipc.verdict.result import SuiteResult, Verdict

from . import reports

EVIL = "]]></failure>\x00\x1b[2J\ud800 <b>|`*_~~~\n```\n& @user"

# The parts of the Common Test Report Format that are written here.
TEST = {
    "type": "object",
    "required": ["name", "status", "duration"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "status": {"enum": ["passed", "failed", "skipped", "pending", "other"]},
        "duration": {"type": "integer", "minimum": 0},
        "suite": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "rawStatus": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "message": {"type": "string"},
        "trace": {"type": "string"},
        "extra": {"type": "object"},
    },
}
COUNTS = ("tests", "passed", "failed", "skipped", "pending", "other", "start", "stop", "suites")
CTRF = {
    "type": "object",
    "required": ["results", "reportFormat", "specVersion"],
    "additionalProperties": False,
    "properties": {
        "reportFormat": {"const": "CTRF"},
        "specVersion": {"pattern": r"^\d+\.\d+\.\d+$"},
        "generatedBy": {"type": "string"},
        "results": {
            "type": "object",
            "required": ["tool", "summary", "tests"],
            "additionalProperties": False,
            "properties": {
                "tool": {"type": "object", "required": ["name"]},
                "summary": {
                    "type": "object",
                    "required": list(COUNTS),
                    "additionalProperties": False,
                    "properties": {name: {"type": "integer", "minimum": 0} for name in COUNTS},
                },
                "tests": {"type": "array", "items": TEST},
                "environment": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"appName": {"type": "string"}, "extra": {"type": "object"}},
                },
            },
        },
    },
}


def judged(
    verdicts: dict[str, Verdict], expected: dict[str, Expectation] | None = None, *, strict: bool = False, **more: Any
) -> Judged:
    result = SuiteResult([reports.result(id, verdict) for id, verdict in verdicts.items()], more.pop("broken", []))
    comparison = expectations.compare(result, expected or {}, strict=strict)
    facts: dict[str, Any] = {
        "name": "box",
        "platform": reports.PLATFORM,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "seconds": 1.5,
    }
    return Judged(**facts | {"result": result, "comparison": comparison} | more)


VERDICTS = {
    "a.holds": reports.HOLDS,
    "a.deviates": reports.SEEN,
    "a.expected": reports.DEVIATES,
    "a.absent": reports.ABSENT,
    "a.untested": reports.UNTESTED,
    "a.disputed": reports.DISPUTED,
    "a.broken": reports.BROKEN,
}
EXPECTED = {"a.expected": Expectation("deviates", "issue 1"), "a.holds": Expectation("deviates", "issue 2")}


def test_junit_counts_unexpected_verdicts_as_failures():
    root = ElementTree.fromstring(junit.as_xml([judged(VERDICTS, EXPECTED)]))
    (suite,) = root
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {"name": "box", "tests": "7", "failures": "1", "errors": "1", "skipped": "4", "time": "1.500"}
    found = {
        case.get("name"): [child.tag for child in case if child.tag != "properties"] for case in suite.iter("testcase")
    }
    assert found == {
        "a.holds": [],
        "a.deviates": ["failure"],
        "a.expected": ["skipped"],
        "a.absent": ["skipped"],
        "a.untested": ["skipped"],
        "a.disputed": ["skipped"],
        "a.broken": ["error"],
    }
    failure = suite.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "deviates: expected EEXIST, shmget succeeded with 7"
    assert failure.text == "\n".join(["a(2), ERRORS: The clause a.deviates is kept", *reports.SEEN.evidence])
    skipped = suite.find("testcase[@name='a.expected']/skipped")
    assert skipped is not None
    assert str(skipped.get("message")).endswith("; expected of this platform: issue 1")
    properties = {
        each.get("name"): each.get("value") for each in suite.iterfind("testcase[@name='a.deviates']//property")
    }
    assert properties["clause"] == "a.deviates"
    assert properties["observed"] == "shmget succeeded with 7"
    assert properties["evidence"] == "\n".join(reports.SEEN.evidence)


def test_strict_verdicts_are_failures():
    root = ElementTree.fromstring(junit.as_xml([judged(VERDICTS, strict=True)]))
    assert root[0].get("failures") == "4"


def test_text_that_xml_cannot_hold_is_replaced():
    root = ElementTree.fromstring(junit.as_xml([judged({"a.b": Verdict("deviates", EVIL, EVIL, EVIL, (EVIL,))})]))
    failure = root.find(".//failure")
    assert failure is not None
    assert "]]></failure>\ufffd\ufffd[2J\ufffd <b>" in str(failure.text)


@pytest.mark.parametrize("platforms", [1, 2])
def test_ctrf_is_valid(platforms):
    found = ctrf.as_json([judged(VERDICTS, EXPECTED, broken=["it failed"])] * platforms)
    jsonschema.Draft202012Validator(CTRF).validate(json.loads(json.dumps(found)))
    summary = found["results"]["summary"]
    counts = {name: summary[name] for name in ("tests", "passed", "failed", "skipped", "other")}
    assert counts == {
        name: number * platforms
        for name, number in {"tests": 8, "passed": 1, "failed": 1, "skipped": 4, "other": 2}.items()
    }
    assert summary["stop"] - summary["start"] == 1500
    assert ("environment" in found["results"]) == (platforms == 1)
    test = next(test for test in found["results"]["tests"] if test["name"] == "a.deviates")
    assert (test["status"], test["rawStatus"], test["suite"]) == ("failed", "deviates", ["box", "a"])
    assert test["trace"] == "\n".join(reports.SEEN.evidence)


def test_markdown_shows_counts_then_unexpected_verdicts():
    text = markdown.as_markdown([judged(VERDICTS, EXPECTED), judged({"a.holds": reports.HOLDS}, name="host")])
    lines = text.splitlines()
    assert "| platform | holds | untested | absent | disputed | deviates | broken | time |" in lines
    assert "| box | 1 | 1 | 1 | 1 | 2 | 1 | 1.5 s |" in lines
    assert "### box: 2 unexpected" in lines
    assert "<details><summary>a.deviates deviates, a(2), ERRORS</summary>" in lines
    assert "- observed: shmget succeeded with 7" in lines
    assert "- again: `pytest-ipc check a.deviates`" in lines
    assert "<details><summary>box: 1 as expected</summary>" in lines
    assert "### box: 1 unexpectedly holds" in lines
    assert "**host:** This platform passes the 1 clause that could be judged." in lines


def test_markdown_checks_the_platform_again_that_deviated():
    box = "pytest-ipc check --platform 'box=ssh box python3'"
    assert f"- again: `{box} a.one`\n" in markdown.as_markdown([judged({"a.one": reports.DEVIATES}, check=box)])
    ticked = judged({"a.one": reports.DEVIATES}, check="pytest-ipc check --platform 'box=a `b`'")
    assert "- again: `` pytest-ipc check --platform 'box=a `b`' a.one ``\n" in markdown.as_markdown([ticked])


def test_markdown_of_a_report_is_text():
    text = markdown.as_markdown([judged({"a.b": Verdict("deviates", EVIL, EVIL, EVIL, (EVIL,))}, name="a|b*c")])
    assert "<b>" not in text.partition("````")[0]
    assert "````\n]]>" in text, "the fence is longer than the one in the evidence"
    assert r"| a\|b\*c |" in text


def test_markdown_is_cut_where_github_would_show_nothing():
    many = {f"a.c{number}": Verdict("deviates", "", "x" * 500, "y" * 500) for number in range(1000)}
    text = markdown.as_markdown([judged(many)])
    assert 800_000 < len(text.encode()) < 1_000_000
    assert text.splitlines()[-1].endswith("more parts are in the report of the check.")


def test_platform_that_cannot_be_judged_is_an_error():
    refused = Judged("box", {}, SuiteResult([]), Comparison(), datetime(2026, 1, 1, tzinfo=UTC), 0.0, "no Python")
    (error,) = ElementTree.fromstring(junit.as_xml([refused])).iter("error")
    assert error.get("message") == "cannot be judged: no Python"
    (test,) = ctrf.as_json([refused])["results"]["tests"]
    assert (test["status"], test["message"]) == ("other", "cannot be judged: no Python")
    assert "**box:** cannot be judged: no Python" in markdown.as_markdown([refused])


def options(**paths: Path | None) -> Namespace:
    return Namespace(**dict.fromkeys(("report", "junit", "ctrf", "markdown")) | paths)


def test_all_files_are_written_in_one_run(tmp_path):
    paths = {name: tmp_path / name for name in ("junit", "ctrf", "markdown")}
    outputs.prepare(options(**paths))
    assert list(tmp_path.iterdir()) == []
    assert outputs.write(options(**paths), [judged(VERDICTS)]) == list(paths.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ctrf", "junit", "markdown"]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"junit": "a", "ctrf": "a"}, "--ctrf and --junit must be two files, not both"),
        ({"markdown": "a", "report": "a"}, "--report and --markdown must be two files, not both"),
        ({"junit": "no/such/folder"}, "the JUnit XML cannot be written to"),
    ],
)
def test_invalid_files_are_refused_before_the_run(tmp_path, wanted, sentence):
    with pytest.raises(CommandError, match=sentence):
        outputs.prepare(options(**{name: tmp_path / path for name, path in wanted.items()}))

"""The badge of a report."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict.commands import badge
from pytest_ipc.verdict.reports import expectations, writer
from pytest_ipc.verdict.reports.expectations import Expectation
from pytest_ipc.verdict.result import SuiteResult

from . import reports

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("verdicts", "words", "colour"),
    [
        ({"a.b": reports.HOLDS, "a.c": reports.DISPUTED, "a.d": reports.ABSENT}, "2 of 2 clauses", badge._GOOD),
        ({"a.b": reports.HOLDS, "a.c": reports.DEVIATES}, "1 of 2 clauses", badge._BAD),
        ({"a.b": reports.HOLDS, "a.c": reports.BROKEN}, "no verdict", badge._NOTHING),
        ({"a.b": reports.UNTESTED}, "nothing judged", badge._NOTHING),
        ({}, "nothing judged", badge._NOTHING),
    ],
)
def test_badge_text_and_colour(tmp_path, verdicts, words, colour):
    path = reports.write(tmp_path, "box", verdicts)
    assert main(["badge", str(path), "-o", str(tmp_path / "b.svg")]) == 0
    text = (tmp_path / "b.svg").read_text()
    picture = ElementTree.fromstring(text)
    assert picture.findtext(f"{SVG}title") == picture.get("aria-label") == f"Linux IPC on box: {words}"
    assert [found.text for found in picture.iter(f"{SVG}text")] == ["Linux IPC", words]
    assert colour in text


def test_expected_deviations_have_their_own_colour(tmp_path, capsys):
    result = SuiteResult([reports.result("a.b", reports.DEVIATES)])
    known = expectations.compare(result, {"a.b": Expectation("deviates", "issue 1")})
    writer.write(tmp_path / "r.json", writer.as_json("box", reports.PLATFORM, result, known))
    assert main(["badge", str(tmp_path / "r.json")]) == 0
    assert badge._KNOWN in capsys.readouterr().out


def test_platform_name_is_escaped(tmp_path, capsys):
    found = reports.make("box", {"a.b": reports.HOLDS})
    found["name"] = '"/><script>&'
    (tmp_path / "r.json").write_text(json.dumps(found))
    assert main(["badge", str(tmp_path / "r.json")]) == 0
    picture = ElementTree.fromstring(capsys.readouterr().out)
    assert picture.get("aria-label") == 'Linux IPC on "/><script>&: 1 of 1 clauses'


@pytest.mark.parametrize("wrong", ["report", "folder"])
def test_failure_overwrites_nothing(tmp_path, capsys, wrong):
    path = reports.write(tmp_path, "box", {"a.b": reports.HOLDS})
    target = tmp_path / ("b.svg" if wrong == "report" else "no/such/b.svg")
    if wrong == "report":
        path.write_text("{")
        target.write_text("old")
    assert main(["badge", str(path), "-o", str(target)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert wrong == "folder" or target.read_text() == "old"

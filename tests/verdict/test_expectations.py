"""What is known of a platform: read, held against what came, and written from a report."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.reports import expectations, writer
from pytest_ipc.verdict.reports.expectations import Expectation, ExpectationError
from pytest_ipc.verdict.result import SuiteResult, Verdict

from . import reports

VERDICTS = {
    "a.holds": reports.HOLDS,
    "a.deviates": reports.DEVIATES,
    "a.absent": reports.ABSENT,
    "a.untested": reports.UNTESTED,
    "a.disputed": reports.DISPUTED,
}


def result(**verdicts: Verdict) -> SuiteResult:
    """A result of clauses of one mechanism; all of VERDICTS if none is given."""
    named = {f"a.{name}": verdict for name, verdict in verdicts.items()} or VERDICTS
    return SuiteResult([reports.result(id, verdict) for id, verdict in named.items()])


def file(folder: Path, text: str) -> Path:
    path = folder / "known.toml"
    path.write_text(text)
    return path


def test_a_file_is_a_table_a_verdict(tmp_path):
    path = file(
        tmp_path, 'platform = "box"\n[deviates]\n"a.b" = " issue 1 "\n[untested]\n"a.c" = "no root"\n[absent]\n'
    )
    assert expectations.read(path, ["a.b", "a.c"]) == {
        "a.b": Expectation("deviates", "issue 1"),
        "a.c": Expectation("untested", "no root"),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[deviates", "is no TOML: Expected ']'"),
        ("x = " + "[" * 100_000, "is no TOML: "),
        ("[deviate]\n", "'deviate' is none of the tables deviates, absent, untested"),
        ("[holds]\n", "'holds' is none of the tables"),
        ("deviates = 3\n", "'deviates' is none of the tables"),
        ("platform = 3\n", "'platform' is none of the tables"),
        ("[deviates]\na.b = 'x'\n", "the clause id that begins with 'a' must stand in quotation marks"),
        ("[deviates]\n'a.b' = 3\n", "the clause 'a.b' needs a reason"),
        ("[deviates]\n'a.b' = ' '\n", "the clause 'a.b' needs a reason"),
        (
            "[deviates]\n'a.b' = 'x'\n[absent]\n'a.b' = 'x'\n",
            "'a.b' stands in two tables, deviates and absent",
        ),
        ("[deviates]\n'a.x' = 'x'\n", "expects 'a.x', which is no clause of this suite$"),
        ("[deviates]\n'a.x' = 'x'\n'a.y' = 'x'\n'a.z' = 'x'\n", "'a.x', .* this suite, nor are 2 others in it$"),
    ],
)
def test_what_says_nothing_that_could_be_expected(tmp_path, text, sentence):
    with pytest.raises(ExpectationError, match=sentence) as caught:
        expectations.read(file(tmp_path, text), ["a.b"])
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'platform = "\xff"')
    for name, sentence in (("no-such.toml", "cannot be read: No such file"), ("latin.toml", "is no TOML: 'utf-8'")):
        with pytest.raises(ExpectationError, match=sentence):
            expectations.read(tmp_path / name)


@pytest.mark.parametrize("name", expectations.shipped())
def test_what_is_shipped_is_about_this_suite_and_says_why(name):
    found = expectations.read(Path(name), {clause.id for clause in suite.clauses(suite.location())})
    assert found == expectations.read(expectations.shipped()[name])
    text = expectations.shipped()[name].read_text(encoding="utf-8")
    assert re.search('^platform = ".+"$', text, re.MULTILINE)
    # What the command writes until somebody says why begins with what was expected of the platform.
    assert [id for id, expectation in found.items() if expectation.reason.startswith("expected ")] == []


def test_a_file_of_ones_own_comes_before_one_that_is_shipped(tmp_path, monkeypatch):
    name = next(iter(expectations.shipped()))
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("[deviates]\n'a.b' = 'ours'\n")
    assert expectations.read(Path(name)) == {"a.b": Expectation("deviates", "ours")}


def test_a_name_that_nothing_has_is_told_which_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExpectationError, match=r"; those that come with pytest-ipc are .*gvisor"):
        expectations.read(Path("gvisor-of-tomorrow"))


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_is_expected(strict):
    reckoning = expectations.reckon(result(), {}, strict=strict)
    assert [found.id for found in reckoning.unexpected] == [
        "a.deviates",
        *(["a.absent", "a.untested"] if strict else []),
    ]
    assert (reckoning.known, reckoning.healed) == ({}, {})


@pytest.mark.parametrize("strict", [False, True])
def test_all_is_expected(strict):
    expected = {f"a.{verdict}": Expectation(verdict, "known") for verdict in expectations.EXPECTABLE}
    reckoning = expectations.reckon(result(), expected, strict=strict)
    assert (reckoning.known, reckoning.unexpected) == (expected, [])
    assert reckoning.exit_status(result(), strict_expect=True) == 0


# What was expected, what came: what becomes of it, and with --strict.
HEALED, UNEXPECTED, NOTHING = "healed", "unexpected", ""
CHANGED = [
    ("deviates", reports.HOLDS, HEALED, HEALED),
    ("deviates", reports.DISPUTED, HEALED, HEALED),
    ("deviates", reports.UNTESTED, NOTHING, UNEXPECTED),
    ("deviates", reports.ABSENT, NOTHING, UNEXPECTED),
    ("absent", reports.HOLDS, HEALED, HEALED),
    ("absent", reports.DEVIATES, UNEXPECTED, UNEXPECTED),
    ("untested", reports.ABSENT, NOTHING, UNEXPECTED),
    ("deviates", reports.BROKEN, NOTHING, NOTHING),
]


@pytest.mark.parametrize(("expected", "came", "plain", "strictly"), CHANGED)
def test_other_than_expected(expected, came, plain, strictly):
    for strict, becomes in ((False, plain), (True, strictly)):
        reckoning = expectations.reckon(result(b=came), {"a.b": Expectation(expected, "known")}, strict=strict)
        assert reckoning.known == {}
        assert ("a.b" in reckoning.healed) == (becomes == HEALED)
        assert [found.id for found in reckoning.unexpected] == (["a.b"] if becomes == UNEXPECTED else [])


def test_what_was_not_asked_for_has_not_healed():
    expected = {"a.other": Expectation("deviates", "known")}
    assert expectations.reckon(result(b=reports.HOLDS), expected).healed == {}


def test_the_exit_status():
    healed = expectations.reckon(result(b=reports.HOLDS), {"a.b": Expectation("deviates", "known")})
    assert healed.exit_status(result(b=reports.HOLDS), strict_expect=False) == 0
    assert healed.exit_status(result(b=reports.HOLDS), strict_expect=True) == 1
    strict = expectations.reckon(result(b=reports.ABSENT), {}, strict=True)
    assert strict.exit_status(result(b=reports.ABSENT), strict_expect=False) == 1
    assert strict.exit_status(result(b=reports.BROKEN), strict_expect=False) == 3


def test_a_report_says_what_was_expected():
    known = expectations.reckon(result(), {"a.deviates": Expectation("deviates", "issue 1")})
    found = writer.as_json("box", reports.PLATFORM, result(), known, exit_status=0)
    reports.validate(found)
    assert {clause["id"]: clause["known"] for clause in found["clauses"] if clause["known"]} == {
        "a.deviates": "issue 1"
    }
    assert found["exit_status"] == 0


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_what_expect_writes_is_what_check_expects(tmp_path, strict, capsys):
    path = reports.write(tmp_path, "box", VERDICTS)
    assert main(["expect", str(path), *strict, "-o", str(tmp_path / "known.toml")]) == 0
    assert "new, which want a reason" in capsys.readouterr().out
    expected = expectations.read(tmp_path / "known.toml", VERDICTS)
    reckoning = expectations.reckon(result(), expected, strict=bool(strict))
    assert (reckoning.unexpected, reckoning.healed) == ([], {})
    assert set(reckoning.known) == ({"a.deviates", "a.absent", "a.untested"} if strict else {"a.deviates"})


def test_expect_without_a_file_shows_it(tmp_path, capsys):
    assert main(["expect", str(reports.write(tmp_path, "box", VERDICTS))]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text) == {"platform": "box", "deviates": {"a.deviates": reports.DEVIATES.reason}}
    assert "# a(2), ERRORS: The clause a.deviates is kept\n" in text


def test_reasons_are_kept(tmp_path, capsys):
    known = file(
        tmp_path,
        '[deviates]\n"a.deviates" = "issue 1"\n"a.holds" = "issue 2"\n"a.untested" = "issue 3"\n"b.elsewhere" = "issue 4"\n'
        '[absent]\n"a.absent" = "never had it"\n',
    )
    path = reports.write(tmp_path, "box", VERDICTS | {"a.new": reports.DEVIATES})
    assert main(["expect", str(path), "-o", str(known)]) == 0
    assert capsys.readouterr().out == f"{known}: 5 expected; 1 new, which want a reason; 1 healed and no longer there\n"
    assert expectations.read(known) == {
        "a.deviates": Expectation("deviates", "issue 1"),
        "a.new": Expectation("deviates", reports.DEVIATES.reason),
        "a.untested": Expectation("deviates", "issue 3"),
        "b.elsewhere": Expectation("deviates", "issue 4"),
        "a.absent": Expectation("absent", "never had it"),
    }
    before = known.read_text()
    assert main(["expect", str(path), "-o", str(known)]) == 0
    assert known.read_text() == before


def test_any_text_may_be_a_reason(tmp_path):
    reason = 'quoted "x" \\ back\ttab \x7f é \U0001f600 # no comment'
    name = "a 'box' \"x\""
    path = reports.write(tmp_path, "box", {"a.b": Verdict("deviates", reason)})
    path.write_text(path.read_text().replace('"box"', '"a \'box\' \\"x\\""'))
    assert main(["expect", str(path), "-o", str(tmp_path / "known.toml")]) == 0
    found = tomllib.loads((tmp_path / "known.toml").read_text(encoding="utf-8"))
    assert found == {"platform": name, "deviates": {"a.b": reason.replace("\t", " ").replace("\x7f", "\\x7f")}}


@pytest.mark.parametrize(
    ("report", "before", "sentence"),
    [("{", None, "is truncated"), (None, "[oops]", "'oops' is none of the tables")],
)
def test_what_cannot_be_read_overwrites_nothing(tmp_path, capsys, report, before, sentence):
    path = reports.write(tmp_path, "box", VERDICTS)
    if report is not None:
        path.write_text(report)
    known = file(tmp_path, before or "# mine\n")
    assert main(["expect", str(path), "-o", str(known)]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert known.read_text() == (before or "# mine\n")


def test_a_folder_that_is_not_there(tmp_path, capsys):
    path = reports.write(tmp_path, "box", VERDICTS)
    assert main(["expect", str(path), "-o", "/no/such/folder/known.toml"]) == 2
    assert (
        capsys.readouterr().err
        == "pytest-ipc: /no/such/folder/known.toml cannot be written: No such file or directory\n"
    )

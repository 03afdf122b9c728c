"""Expectations: read, compared with a result, and written from a report."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.reports import expectations, writer
from pytest_ipc.verdict.reports.expectations import Expectation
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
    """Return a result of clauses of one mechanism, by default with all of VERDICTS."""
    named = {f"a.{name}": verdict for name, verdict in verdicts.items()} or VERDICTS
    return SuiteResult([reports.result(id, verdict) for id, verdict in named.items()])


def file(folder: Path, text: str) -> Path:
    path = folder / "known.toml"
    path.write_text(text)
    return path


def test_file_has_a_table_for_each_verdict(tmp_path):
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
        ("[deviates", "is not valid TOML: Expected ']'"),
        ("x = " + "[" * 100_000, "is not valid TOML: "),
        ("[deviate]\n", "table must be one of deviates, absent, untested, not 'deviate'"),
        ("[holds]\n", "not 'holds'"),
        ("deviates = 3\n", "not 'deviates'"),
        ("platform = 3\n", "not 'platform'"),
        (
            "[deviates]\n'a.b' = {reason = 'x', often = 'y'}\n",
            "must be one of before, reason, since, sometimes, not 'often'",
        ),
        (
            "[deviates]\n'a.b' = {reason = 'x', since = 'v6'}\n",
            "since of the clause 'a.b' must be a kernel release like",
        ),
        (
            "[deviates]\n'a.b' = {reason = 'x', sometimes = ' '}\n",
            "the sometimes of the clause 'a.b' must be a non-empty",
        ),
        ("[recognised]\nkernel = 3\n", "not 'recognised'"),
        ("[deviates]\na.b = 'x'\n", "the clause id that begins with 'a' must be in quotation marks"),
        ("[deviates]\n'a.b' = 3\n", "the reason of the clause 'a.b' must be a non-empty string"),
        ("[deviates]\n'a.b' = ' '\n", "the reason of the clause 'a.b' must be a non-empty string"),
        (
            "[deviates]\n'a.b' = 'x'\n[absent]\n'a.b' = 'x'\n",
            "'a.b' is in two tables, deviates and absent",
        ),
        ("[deviates]\n'a.x' = 'x'\n", "expects 'a.x', which is not a clause of this suite(; did you mean a.*)?$"),
        (
            "[deviates]\n'a.x' = 'x'\n'a.y' = 'x'\n'a.z' = 'x'\n",
            "'a.x', .* this suite, nor are 2 others in it(; did you mean a.*)?$",
        ),
    ],
)
def test_invalid_expectations_raise_expectation_error(tmp_path, text, sentence):
    with pytest.raises(CommandError, match=sentence) as caught:
        expectations.read(file(tmp_path, text), ["a.b"])
    assert "\n" not in str(caught.value)


def test_unreadable_file_raises_expectation_error(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'platform = "\xff"')
    for name, sentence in (
        ("no-such.toml", "cannot be read: No such file"),
        ("latin.toml", "is not valid TOML: 'utf-8'"),
    ):
        with pytest.raises(CommandError, match=sentence):
            expectations.read(tmp_path / name)


@pytest.mark.parametrize("name", expectations.bundled())
def test_bundled_expectations_name_clauses_and_reasons(name):
    found = expectations.read(Path(name), {clause.id for clause in suite.clauses(suite.location())})
    assert found == expectations.read(expectations.bundled()[name])
    text = expectations.bundled()[name].read_text(encoding="utf-8")
    assert re.search('^platform = ".+"$', text, re.MULTILINE)
    # The default reason begins with the expected behaviour.
    assert [id for id, expectation in found.items() if expectation.reason.startswith("expected ")] == []


def test_file_takes_precedence_over_bundled_expectations(tmp_path, monkeypatch):
    name = next(iter(expectations.bundled()))
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("[deviates]\n'a.b' = 'ours'\n")
    assert expectations.read(Path(name)) == {"a.b": Expectation("deviates", "ours")}


def test_unknown_name_is_reported_with_the_bundled_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=r"; bundled expectations are .*gvisor"):
        expectations.read(Path("gvisor-of-tomorrow"))


@pytest.mark.parametrize("strict", [False, True])
def test_without_expectations_every_deviation_is_unexpected(strict):
    comparison = expectations.compare(result(), {}, strict=strict)
    assert [found.id for found in comparison.unexpected] == [
        "a.deviates",
        *(["a.absent", "a.untested"] if strict else []),
    ]
    assert (comparison.as_expected, comparison.unexpectedly_holding) == ({}, {})


@pytest.mark.parametrize("strict", [False, True])
def test_expected_verdicts_pass(strict):
    expected = {f"a.{verdict}": Expectation(verdict, "known") for verdict in expectations.EXPECTABLE}
    comparison = expectations.compare(result(), expected, strict=strict)
    assert (comparison.as_expected, comparison.unexpected) == (expected, [])
    assert comparison.exit_status(result(), strict_expect=True) == 0


# Expected verdict, actual verdict: the result, and the result with --strict.
BETTER, UNEXPECTED, NOTHING = "unexpectedly holds", "unexpected", ""
CHANGED = [
    ("deviates", reports.HOLDS, BETTER, BETTER),
    ("deviates", reports.DISPUTED, BETTER, BETTER),
    ("deviates", reports.UNTESTED, NOTHING, UNEXPECTED),
    ("deviates", reports.ABSENT, NOTHING, UNEXPECTED),
    ("absent", reports.HOLDS, BETTER, BETTER),
    ("absent", reports.DEVIATES, UNEXPECTED, UNEXPECTED),
    ("untested", reports.ABSENT, NOTHING, UNEXPECTED),
    ("deviates", reports.BROKEN, NOTHING, NOTHING),
]


@pytest.mark.parametrize(("expected", "came", "plain", "strictly"), CHANGED)
def test_other_verdict_than_expected(expected, came, plain, strictly):
    for strict, becomes in ((False, plain), (True, strictly)):
        comparison = expectations.compare(result(b=came), {"a.b": Expectation(expected, "known")}, strict=strict)
        assert comparison.as_expected == {}
        assert ("a.b" in comparison.unexpectedly_holding) == (becomes == BETTER)
        assert [found.id for found in comparison.unexpected] == (["a.b"] if becomes == UNEXPECTED else [])


def test_unjudged_clause_does_not_unexpectedly_hold():
    expected = {"a.other": Expectation("deviates", "known")}
    assert expectations.compare(result(b=reports.HOLDS), expected).unexpectedly_holding == {}


def test_exit_status():
    better = expectations.compare(result(b=reports.HOLDS), {"a.b": Expectation("deviates", "known")})
    assert better.exit_status(result(b=reports.HOLDS), strict_expect=False) == 0
    assert better.exit_status(result(b=reports.HOLDS), strict_expect=True) == 1
    strict = expectations.compare(result(b=reports.ABSENT), {}, strict=True)
    assert strict.exit_status(result(b=reports.ABSENT), strict_expect=False) == 1
    assert strict.exit_status(result(b=reports.BROKEN), strict_expect=False) == 3


def test_report_has_the_reasons_of_expectations():
    known = expectations.compare(result(), {"a.deviates": Expectation("deviates", "issue 1")})
    found = writer.as_json("box", reports.PLATFORM, result(), known, exit_status=0)
    reports.validate(found)
    assert {clause["id"]: clause["known"] for clause in found["clauses"] if clause["known"]} == {
        "a.deviates": "issue 1"
    }
    assert found["exit_status"] == 0


@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_check_accepts_the_file_of_expect(tmp_path, strict, capsys):
    path = reports.write(tmp_path, "box", VERDICTS)
    assert main(["expect", str(path), *strict, "-o", str(tmp_path / "known.toml")]) == 0
    assert "new, which need a reason" in capsys.readouterr().out
    expected = expectations.read(tmp_path / "known.toml", VERDICTS)
    comparison = expectations.compare(result(), expected, strict=bool(strict))
    assert (comparison.unexpected, comparison.unexpectedly_holding) == ([], {})
    assert set(comparison.as_expected) == ({"a.deviates", "a.absent", "a.untested"} if strict else {"a.deviates"})


def test_expect_without_a_file_prints_the_expectations(tmp_path, capsys):
    assert main(["expect", str(reports.write(tmp_path, "box", VERDICTS))]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text) == {"platform": "box", "deviates": {"a.deviates": reports.DEVIATES.reason}}
    assert "# a(2), ERRORS: The clause a.deviates is kept\n" in text


def test_expect_keeps_reasons(tmp_path, capsys):
    known = file(
        tmp_path,
        '[deviates]\n"a.deviates" = "issue 1"\n"a.holds" = "issue 2"\n'
        '"a.untested" = "issue 3"\n"b.elsewhere" = "issue 4"\n'
        '[absent]\n"a.absent" = "never had it"\n',
    )
    path = reports.write(tmp_path, "box", VERDICTS | {"a.new": reports.DEVIATES})
    assert main(["expect", str(path), "-o", str(known)]) == 0
    assert (
        capsys.readouterr().out
        == f"{known}: 5 expected; 1 new, which need a reason; 1 removed, which unexpectedly hold\n"
    )
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


def test_any_text_is_a_valid_reason(tmp_path):
    reason = 'quoted "x" \\ back\ttab \x7f é \U0001f600 # no comment'
    name = "a 'box' \"x\""
    path = reports.write(tmp_path, "box", {"a.b": Verdict("deviates", reason)})
    path.write_text(path.read_text().replace('"box"', '"a \'box\' \\"x\\""'))
    assert main(["expect", str(path), "-o", str(tmp_path / "known.toml")]) == 0
    found = tomllib.loads((tmp_path / "known.toml").read_text(encoding="utf-8"))
    assert found == {"platform": name, "deviates": {"a.b": reason.replace("\t", " ").replace("\x7f", "\\x7f")}}


@pytest.mark.parametrize(
    ("report", "before", "sentence"),
    [("{", None, "is truncated"), (None, "[oops]", "not 'oops'")],
)
def test_invalid_input_overwrites_nothing(tmp_path, capsys, report, before, sentence):
    path = reports.write(tmp_path, "box", VERDICTS)
    if report is not None:
        path.write_text(report)
    known = file(tmp_path, before or "# mine\n")
    assert main(["expect", str(path), "-o", str(known)]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert len(captured.err.splitlines()) == 1
    assert known.read_text() == (before or "# mine\n")


def test_missing_directory_is_reported(tmp_path, capsys):
    path = reports.write(tmp_path, "box", VERDICTS)
    assert main(["expect", str(path), "-o", "/no/such/folder/known.toml"]) == 2
    assert (
        capsys.readouterr().err
        == "pytest-ipc: the expectations cannot be written to /no/such/folder/known.toml: No such file or directory\n"
    )


def test_what_deviates_sometimes_may_also_hold():
    flaky = {"a.b": Expectation("deviates", "slow", sometimes="3 of 20 runs")}
    held = expectations.compare(result(b=reports.HOLDS), flaky)
    assert (held.unexpectedly_holding, held.unexpected) == ({}, [])
    assert held.exit_status(result(b=reports.HOLDS), strict_expect=True) == 0
    deviated = expectations.compare(result(b=reports.DEVIATES), flaky)
    assert deviated.as_expected == flaky
    assert flaky["a.b"].in_words == "slow (3 of 20 runs)"


@pytest.mark.parametrize(
    ("kernel", "is_expected"),
    [
        ("Linux 6.0.9 #1", False),
        ("Linux 6.1-rc2 #1", True),
        ("Linux 6.8.12-x", True),
        ("Linux 6.9.0", False),
        ("", True),
    ],
)
def test_an_expectation_has_a_range_of_kernel_releases(tmp_path, kernel, is_expected):
    path = file(tmp_path, '[deviates]\n"a.b" = { reason = "fixed in 6.9", since = "6.1", before = "6.9" }\n')
    found = expectations.compare(result(b=reports.DEVIATES), expectations.read(path), kernel=kernel)
    assert (list(found.as_expected), bool(found.unexpected)) == ((["a.b"], False) if is_expected else ([], True))


def test_files_add_up(tmp_path):
    """The last file with an entry for this release counts, as one for a newer kernel beside one for older ones."""
    texts = (
        '[deviates]\n"a.one" = "first"\n"a.two" = "first"\n',
        '[absent]\n"a.two" = { reason = "second", since = "6.9" }\n[deviates]\n"a.three" = "second"\n',
    )
    paths = [tmp_path / f"{number}.toml" for number in range(2)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    found = expectations.read_all(paths)
    for kernel, verdict in (("Linux 6.8.0", "deviates"), ("Linux 6.9.1", "absent")):
        of_two = found["a.two"].on(kernel)
        assert of_two is not None
        assert of_two.verdict == verdict
    assert {id: found[id].reason for id in ("a.one", "a.three")} == {"a.one": "first", "a.three": "second"}


def test_expectations_are_recognised_by_the_platform(tmp_path):
    path = file(tmp_path, 'recognised = { container = "gVisor", libc = "glibc" }\n[deviates]\n"a.b" = "x"\n')
    assert expectations.recognised(path, {"container": "gVisor, docker", "libc": "glibc 2.36"})
    assert not expectations.recognised(path, {"container": "gVisor, docker", "libc": "musl 1.2"})
    assert not expectations.recognised(file(tmp_path, '[deviates]\n"a.b" = "x"\n'), {"container": "gVisor"})


def test_expect_writes_how_often_a_clause_deviates(tmp_path):
    """And keeps it, with the releases and the signs of the platform, when the clause holds in a later run."""
    runs = []
    for number, verdict in enumerate((reports.DEVIATES, reports.HOLDS, reports.HOLDS)):
        runs.append(tmp_path / f"{number}.json")
        writer.write(runs[-1], writer.as_json("box", {}, result(flaky=verdict, always=reports.DEVIATES)))
    output = file(
        tmp_path,
        'platform = "box"\nrecognised = { libc = "musl" }\n[deviates]\n'
        '"a.always" = { reason = "issue 1", since = "6.1" }\n',
    )
    assert main(["expect", *map(str, runs), "-o", str(output)]) == 0
    written = expectations.read(output)
    assert written == {
        "a.always": Expectation("deviates", "issue 1", since="6.1"),
        "a.flaky": Expectation("deviates", reports.DEVIATES.reason, sometimes="1 of 3 runs"),
    }
    assert expectations.signs(output) == {"libc": "musl"}
    assert main(["expect", str(runs[1]), "-o", str(output)]) == 0
    assert expectations.read(output) == written

"""The output on a terminal at the end of a check."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pytest_ipc.verdict.reports import expectations
from pytest_ipc.verdict.reports.expectations import Comparison, Expectation
from pytest_ipc.verdict.reports.next_steps import best_known, next_steps
from pytest_ipc.verdict.reports.terminal import Screen, print_hanging, sentence, slowest
from pytest_ipc.verdict.result import ClauseResult, SuiteResult, Verdict

from . import reports

RESULT = SuiteResult(
    [
        reports.result(id, verdict)
        for id, verdict in {
            "a.one": reports.DEVIATES,
            "a.two": reports.SEEN,
            "a.three": reports.HOLDS,
            "a.four": reports.ABSENT,
        }.items()
    ]
)


@pytest.fixture
def shown():
    """Return a function that shows RESULT with these expectations."""

    def show(strict: bool = False, verbosity: int = 0, **expected: Expectation) -> list[str]:
        out = io.StringIO()
        named = {f"a.{name}": expectation for name, expectation in expected.items()}
        screen = Screen(Console(file=out, width=200), verbosity)
        screen.begin(reports.PLATFORM, 4)
        for found in RESULT.results:
            screen.judged(found.id, found.verdict)
        screen.end(RESULT, expectations.compare(RESULT, named, strict=strict))
        return [line.rstrip() for line in out.getvalue().splitlines()]

    return show


def test_result_without_expectations(shown):
    lines = shown()
    assert lines[-1] == "This platform deviates from the manual in 2 of 3 clauses that could be judged."
    assert not [line for line in lines if line.startswith("unexpected")]
    assert "          expected: EEXIST" in lines
    seen = lines.index("          seen at:  shm/test_shmget.py:42: shmget(key, 1, flags)")
    assert (
        lines[seen + 1] == "          after:    shmget(5, 1, IPC_CREAT | IPC_EXCL | 0600) = 7"
    )  # the last call; the report has the others


def test_result_with_one_expected_deviation(shown):
    lines = shown(one=Expectation("deviates", "issue 1"))
    assert not [line for line in lines if "a.one" in line], "an expected deviation is counted"
    assert "unexpected a.two deviates" in lines
    assert lines[-1].endswith("2 of 3 clauses that could be judged, and 1 of them is expected.")


def test_result_with_a_clause_that_unexpectedly_holds(shown):
    known = Expectation("deviates", "issue 1")
    lines = shown(one=known, two=known, three=known)
    assert "unexpectedly holds a.three was expected to deviate (issue 1)" in lines
    assert lines[-1].endswith("could be judged, as expected.")
    assert "unexpectedly holds a.three was expected to be absent (not built)" in shown(
        three=Expectation("absent", "not built")
    )


def test_result_with_strict(shown):
    assert "unexpected a.four absent" in shown(strict=True)


def test_only_deviations_are_shown_in_full_and_the_others_counted(shown):
    lines = shown()
    assert [line.split()[1] for line in lines if line.startswith(("deviates ", "absent ", "holds "))] == [
        "a.one",
        "a.two",
    ]
    assert "a 1 1 2".split() in [line.split() for line in lines]
    assert lines[0].split() == ["kernel", *reports.PLATFORM["kernel"].split()]


def test_verbose_shows_every_clause_that_does_not_hold_and_all_evidence(shown):
    lines = shown(verbosity=1, one=Expectation("deviates", "issue 1"))
    assert "          expected of this platform: issue 1" in lines
    assert "absent    a.four  a(2), ERRORS" in lines
    assert "          ENOSYS: Function not implemented" in lines
    assert [line for line in lines if "after:" in line] == [
        "          after:    shmget(5, 1, IPC_CREAT | IPC_EXCL | 0600) = 6",
        "          after:    shmget(5, 1, IPC_CREAT | IPC_EXCL | 0600) = 7",
    ]
    assert not [line for line in lines if line.startswith("holds ")]
    assert "holds     a.three  a(2), ERRORS" in shown(verbosity=2)


def test_quiet_shows_a_line_for_each_unexpected_verdict(shown):
    assert shown(verbosity=-1, one=Expectation("deviates", "issue 1")) == [
        "deviates  a.two  shmget succeeded with 7",
        "This platform deviates from the manual in 2 of 3 clauses that could be judged, and 1 of them is expected.",
    ]


@pytest.mark.parametrize("width", [40, 60, 79])
def test_long_lines_continue_below_their_first_word(width):
    out = io.StringIO()
    long = Verdict("deviates", "", "EEXIST " * 30, "shmget succeeded with 7 " * 10, ("a/test_a.py:1: " + "x" * 200,))
    result = SuiteResult([reports.result("a.long", long)])
    Screen(Console(file=out, width=width)).end(result, expectations.compare(result, {}))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    begin = next(number for number, line in enumerate(lines) if line.startswith("          observed: "))
    assert lines[begin + 1].startswith(" " * 20)
    assert lines[begin + 1][20] != " "


def test_hanging_lines_keep_every_word():
    out = io.StringIO()
    print_hanging(Console(file=out, width=30), "observed: ", "one two three four five six [bold] seven eight")
    assert out.getvalue().splitlines() == [
        "observed: one two three four",
        "          five six [bold]",
        "          seven eight",
    ]


def test_slowest_clauses_are_in_order():
    names = {"a.one": 0.5, "a.two": 2.0, "a.three": 1.0}
    found = [ClauseResult(id, "a", "a(2)", "S", "", reports.HOLDS, seconds) for id, seconds in names.items()]
    assert slowest(SuiteResult(found), 2) == ["   2.000 s  a.two", "   1.000 s  a.three"]
    assert len(slowest(SuiteResult(found), 0)) == 3


def gvisor_result(count: int, others: int) -> SuiteResult:
    """Return a result with deviations that gVisor's expectations know, and others."""
    path = expectations.bundled()["gvisor-20221219"]
    known = [id for id, expected in expectations.read(path).items() if expected.verdict == "deviates"]
    ids = [*known[:count], *(f"other.c{number}" for number in range(others))]
    return SuiteResult([reports.result(id, reports.DEVIATES) for id in ids])


GVISOR = {"kernel": "Linux 4.4.0 #1", "container": "gVisor, docker"}


def steps(result: SuiteResult, report: Path | None = None) -> list[str]:
    return next_steps(result, expectations.compare(result, {}), report)


def test_next_step_names_the_expectations_that_know_most_of_the_deviations():
    result = gvisor_result(160, 20)
    assert best_known([found.id for found in result.results], {}) == ("gvisor-20221219", 160, False)
    assert steps(result, Path("r.json"))[:2] == [
        "--expect gvisor-20221219 knows 160 of these 180",
        "pytest-ipc expect r.json -o FILE.toml: accept the deviations, for check --expect FILE.toml",
    ]


def test_next_step_names_no_expectations_that_know_few_of_the_deviations():
    assert not [step for step in steps(gvisor_result(3, 20)) if step.startswith("--expect")]


def test_next_step_names_the_expectations_of_the_platform_that_is_recognised():
    found = next_steps(gvisor_result(3, 20), Comparison(unexpected=gvisor_result(3, 20).results), None, GVISOR)
    assert found[0] == "--expect gvisor-20221219 knows 3 of these 23"


def test_next_steps_of_another_platform_are_about_it_and_work_there():
    result, file = gvisor_result(3, 20), Path("r/box.json")
    compared = expectations.compare(result, {})
    accept = "mkdir -p expected; pytest-ipc expect r/box.json -o expected/box.toml: accept the deviations"
    assert next_steps(result, compared, file, name="box", check="CHECK")[:2] == [
        f"{accept}, for check --expect expected",
        f"CHECK -v {result.results[0].id}: one clause again, with its evidence",
    ]
    assert next_steps(result, compared, None, name="box")[0].startswith("--report DIRECTORY keeps the result")
    untested = SuiteResult([reports.result("a.one", reports.UNTESTED)])
    explain = "--report DIRECTORY, then pytest-ipc platform DIRECTORY/box.json"
    assert next_steps(untested, Comparison(), None, name="box") == [
        f"{explain}: why 1 clause is untested or absent, and the remedy"
    ]


def test_next_step_for_untested_clauses():
    result = SuiteResult([reports.result("a.one", reports.UNTESTED), reports.result("a.two", reports.ABSENT)])
    assert steps(result, Path("r.json")) == [
        "pytest-ipc platform r.json: why 2 clauses are untested or absent, and the remedy"
    ]
    assert next_steps(SuiteResult([reports.result("a.one", reports.HOLDS)]), Comparison(), None) == []


ONE = [reports.result("a.one", reports.HOLDS)]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (SuiteResult(ONE), "This platform passes the 1 clause that could be judged."),
        (SuiteResult([reports.result("a.one", reports.DEVIATES)]), "deviates from the manual in 1 of 1 clause that"),
        (SuiteResult(ONE, interrupted=2), "Interrupted after 1 clause; the others"),
        (SuiteResult(ONE, stopped=True), "Stopped at an unexpected deviation after 1 clause; the others"),
    ],
)
def test_one_clause_is_not_called_clauses(result, text):
    assert text in sentence(result, Comparison())


@pytest.mark.parametrize("width", [30, 60, 200])
def test_table_of_the_result_is_whole_on_a_narrow_terminal(width):
    out = io.StringIO()
    Screen(Console(file=out, width=width)).end(RESULT, expectations.compare(RESULT, {}))
    assert "\N{HORIZONTAL ELLIPSIS}" not in out.getvalue()
    if width >= 60:
        assert "mechanism" in out.getvalue()
        assert "deviates" in out.getvalue().split("mechanism")[1]

"""Clauses in plain pytest: what cannot be one is refused at collection, and every verdict is in the summary."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from pytest_ipc.verdict.manual import RELEASE

GOOD = """
    import pytest
    from pytest_ipc import Need, clause, untested, disputed, fails_with

    @clause("a.holds", "page(2)", "ERRORS")
    def test_holds():
        "It holds."
"""


def run(pytester: pytest.Pytester, source: str, *how: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *how)


WRONG = {
    "no docstring": (
        '@clause("a.silent", "page(2)", "ERRORS")\n    def test_silent(): pass',
        "*test_silent: the clause 'a.silent' must have a docstring, which is the clause's statement",
    ),
    "empty docstring": (
        '@clause("a.silent", "page(2)", "ERRORS")\n    def test_silent():\n        " "',
        "*test_silent: the clause 'a.silent' must have a docstring, which is the clause's statement",
    ),
    "same id twice": (
        '@clause("a.holds", "page(2)", "ERRORS")\n    def test_again():\n        "Again."',
        "*duplicate clause id 'a.holds': *::test_holds and *::test_again",
    ),
    "bare marker": (
        '@pytest.mark.ipc_clause\n    def test_bare():\n        "Bare."',
        "*test_bare: the arguments of ipc_clause must be an id, a manual page and a section, *",
    ),
    "one argument": (
        '@pytest.mark.ipc_clause("a.short")\n    def test_short():\n        "Short."',
        "*test_short: the arguments of ipc_clause must be an id, a manual page and a section, *",
    ),
    "unknown keyword": (
        '@pytest.mark.ipc_clause("a.odd", "b", "c", erno=1)\n    def test_odd():\n        "Odd."',
        "*test_odd: the arguments of ipc_clause must be an id, a manual page and a section, and optionally *level",
    ),
    "four arguments": (
        '@pytest.mark.ipc_clause("a.long", "b", "c", "d")\n    def test_long():\n        "Long."',
        "*test_long: the arguments of ipc_clause must be an id, a manual page and a section, *",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_invalid_clause_is_one_usage_error(pytester, case):
    source, message = WRONG[case]
    result = run(pytester, f"{GOOD}\n    {source}\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('"Not An Id", "page(2)", "ERRORS"', "*ValueError: a clause id must look like *, not 'Not An Id'*"),
        ('"nodot", "page(2)", "ERRORS"', "*ValueError: a clause id must look like *, not 'nodot'*"),
        (
            '"a.b", "page(2)", "ERRORS", since="new"',
            "*ValueError: since must be a version of the kernel or of glibc, *, not 'new'*",
        ),
    ],
)
def test_an_id_of_another_form_is_refused_where_it_is_written(pytester, arguments, message):
    result = run(pytester, f"{GOOD}\n    @clause({arguments})\n    def test_odd():\n        'Odd.'\n")
    result.stdout.fnmatch_lines([message])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_one_clause_may_be_a_parametrized_test(pytester):
    result = run(
        pytester,
        f"""
        {GOOD.replace(chr(10) + "    ", chr(10) + "        ")}
        @pytest.mark.parametrize("value", [1, 2])
        @clause("a.family", "page(2)", "ERRORS")
        def test_family(value):
            "Each of them."
        """,
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*= clauses =*", "    2 holds"])


@pytest.mark.parametrize("how", [[], ["-n", "2"], ["-s"], ["-q"]], ids=["plain", "xdist", "no capture", "quiet"])
def test_every_verdict_is_in_the_summary(pytester, how):
    result = run(
        pytester,
        GOOD
        + """
    @clause("a.deviates", "page(2)", "ERRORS")
    def test_deviates():
        "It deviates."
        with fails_with(17):
            pass

    @clause("a.disputed", "page(2)", "ERRORS")
    def test_disputed():
        "It is disputed."
        disputed("one thing", "does another")

    @clause("a.absent", "page(2)", "ERRORS")
    def test_absent():
        "It is absent."
        raise OSError(38, "no such call")

    @clause("a.untested", "page(2)", "ERRORS")
    def test_untested():
        "It is untested."
        untested(Need.OTHER, "needs another kernel")

    @clause("a.broken", "page(2)", "ERRORS")
    def test_broken(no_such_fixture):
        "It is broken."

    def test_no_clause():
        pass
""",
        *how,
    )
    result.stdout.fnmatch_lines(
        [
            "*= clauses =*",
            "    1 holds",
            "    1 untested: a.untested",
            "    1 absent: a.absent",
            "    1 disputed: a.disputed",
            "    1 deviates: a.deviates",
            "    1 broken: a.broken",
        ],
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_run_without_clauses_does_not_mention_them(pytester):
    result = run(pytester, "def test_plain(): pass")
    result.stdout.no_fnmatch_line("*= clauses =*")


def test_the_verdict_is_in_the_junit_report(pytester):
    result = run(pytester, GOOD, "--junitxml=report.xml")
    result.assert_outcomes(passed=1)
    text = (pytester.path / "report.xml").read_text()
    for name, value in {"clause": "a.holds", "page": "page(2)", "section": "ERRORS", "verdict": "holds"}.items():
        assert f'<property name="{name}" value="{value}"' in text


EACH = (
    GOOD
    + """
    @clause("a.deviates", "page(2)", "ERRORS")
    def test_deviates():
        "It deviates."
        with fails_with(17):
            pass

    @clause("a.untested", "page(2)", "ERRORS")
    def test_untested():
        "It is untested."
        untested(Need.OTHER, "needs the moon")

    @clause("a.absent", "page(2)", "ERRORS")
    def test_absent():
        "It is absent."
        raise OSError(38, "no such call")
"""
)


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["plain", "xdist"])
def test_junit_report_has_every_verdict(pytester, how):
    run(
        pytester,
        EACH,
        "--junitxml=report.xml",
        *how,
    )
    found = {}
    for case in ElementTree.parse(pytester.path / "report.xml").iter("testcase"):
        facts = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        found[facts.pop("clause")] = (facts, {child.tag for child in case} & {"failure", "skipped"})
    assert ".py:" in str(found["a.deviates"][0]["evidence"])
    about = {"page": "page(2)", "section": "ERRORS", "mechanism": pytester.path.name}
    about |= {"manual": RELEASE, "level": "linux", "since": ""}
    assert found["a.holds"][1] == set()
    assert found["a.deviates"] == (
        about
        | {
            "statement": "It deviates",
            "verdict": "deviates",
            "reason": "expected EEXIST, the call succeeded",
            "expected": "EEXIST",
            "observed": "the call succeeded",
            "evidence": found["a.deviates"][0]["evidence"],
        },
        {"failure"},
    )
    assert found["a.absent"] == (
        about
        | {
            "statement": "It is absent",
            "verdict": "absent",
            "reason": "ENOSYS: no such call",
            "need": "system-calls",
        },
        {"skipped"},
    )


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["plain", "xdist"])
def test_ctrf_report_has_every_verdict(pytester, how):
    run(
        pytester,
        EACH,
        "--ctrf=report.json",
        *how,
    )
    tests = json.loads((pytester.path / "report.json").read_text())["results"]["tests"]
    found = {test["tags"][0].split("::")[1]: test for test in tests}
    assert {id: test["status"] for id, test in found.items()} == {
        "a.holds": "passed",
        "a.deviates": "failed",
        "a.untested": "skipped",
        "a.absent": "skipped",
    }
    assert found["a.holds"]["tags"][0].startswith("ipc_clause::a.holds::page(2)::ERRORS")
    assert found["a.deviates"]["message"].endswith("expected EEXIST, the call succeeded")
    assert found["a.untested"]["message"] == "untested: needs the moon"
    assert found["a.absent"]["message"] == "absent: ENOSYS: no such call"


def test_invalid_clause_ends_a_distributed_run(pytester):
    source, _ = WRONG["same id twice"]
    result = run(pytester, f"{GOOD}\n    {source}\n", "-n", "2")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*duplicate clause id 'a.holds': *::test_holds and *::test_again"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")

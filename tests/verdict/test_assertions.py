"""A deviation has its expected and observed behaviour in words, for assertions in tests, helpers and children."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from pytest_ipc.verdict.judge import assertions

# The body of a clause's test, after `a, b = 1, 2`, and the expected and observed behaviour of its deviation.
SAID = {
    "assert a == b": ("a to be b, which is 2", "it is 1"),
    "assert a == 3": ("a to be 3", "it is 1"),
    "assert 3 == a": ("a to be 3", "it is 1"),
    "assert a != 1": ("a not to be 1", "it is 1"),
    "assert (c := a) is None": ("a to be None", "it is 1"),
    "assert a >= b": ("a to be at least b, which is 2", "it is 1"),
    "assert b <= a": ("b to be at most a, which is 1", "it is 2"),
    "assert 0 < b < a": ("0 < b < a to hold", "2 is not less than 1"),
    "assert a in (2, 3)": ("a to be in (2, 3)", "it is 1"),
    "assert a not in {1}": ("a not to be in {1}", "it is 1"),
    "assert a == b, 'it came too late'": ("a to be b, which is 2", "it is 1: it came too late"),
    "assert a == b, 'one\\ntwo'": ("a to be b, which is 2", "it is 1: one two"),
    "assert not a": ("a to be false", "it is 1"),
    "assert a & b": ("a & b to be true", "it is (1 & 2)"),
    "assert a == 2 or b == 1": ("a == 2 or b == 1 to be true", "it is (1 == 2 or 2 == 1)"),
    "assert isinstance(a, str)": ("isinstance(a, str) to be true", "it is False"),
    "assert Deadline(0.01).until(lambda: a == b)": ("a == b within 0.01 s", "it did not come to that"),
    "assert comes_true(lambda: a == b)": ("a == b in time", "it did not come to that"),
    "assert signal.SIGTERM == -signal.SIGINT": (
        "signal.SIGTERM to be -signal.SIGINT, which is -2",
        "it is SIGTERM (15)",
    ),
    "assert frozenset() == {1}": ("frozenset() to be {1}", "it is the empty set"),
    "assert frozenset({a}) == set()": ("frozenset({a}) to be set()", "it is {1}"),
    "assert bytes(5000) == b'x' * 5000": (
        "bytes(5000) to be b'x' * 5000",
        "its byte 0 is 0, not 120, and 4999 more differ",
    ),
    "assert bytes(5000) == bytes(5001)": ("bytes(5000) to be bytes(5001)", "it has 5000 bytes, not 5001"),
    "assert 'y' + 'x' * 500 == 'y' + 'x' * 499 + 'y' + 'x'": (
        "'y' + 'x' * 500 to be 'y' + 'x' * 499 + 'y' + 'x'",
        "it has 501 characters, not 502, and its character 500 is 'x', not 'y'",
    ),
    "assert (a, bytes(999)) == (1, bytes(998) + b'!')": (
        "(a, bytes(999)) to be (1, bytes(998) + b'!')",
        "its item 1 is not as expected: its byte 998 is 0, not 33",
    ),
    "assert dict.fromkeys(range(99), 0) == {**dict.fromkeys(range(99), 0), 7: 'x'}": (
        "dict.fromkeys(range(99), 0) to be {**dict.fromkeys(range(99), 0), 7: 'x'}",
        "its entry 7 is 0, not 'x'",
    ),
    "assert [0] * 99 == a": ("[0] * 99 to be a, which is 1", "it is 99 items, each of them 0"),
    "assert list(range(99)) == a": (
        "list(range(99)) to be a, which is 1",
        "it is 99 items, the first of them 0, 1, 2, 3, 4, 5, 6, 7",
    ),
    "assert (a, 'x' * 200) == a": ("(a, 'x' * 200) to be a, which is 1", "it is (1, 200 characters, each of them 'x')"),
    "assert Unshown() == a": (
        "Unshown() to be a, which is 1",
        "it is a Unshown that cannot be shown (ZeroDivisionError)",
    ),
    "assert fork(lambda: a).result() == b": ("fork(lambda: a).result() to be b, which is 2", "it is 1"),
    "fork(compare, a, b).result()": ("left to be right, which is 2", "it is 1"),
    "fork(lambda: fork(compare, a, b).result()).result()": ("left to be right, which is 2", "it is 1"),
    "compare(a, b)": ("left to be right, which is 2", "it is 1"),
    "refuse(a, b)": ("left to be right", "it is not"),
    "fork(refuse, a, b).result()": ("left to be right", "it is not"),
    "fork(unexplained).result()": ("The clause", "a condition of the test does not hold; the evidence has its line"),
    "with pytest.raises(ValueError): pass": ("The clause", "no ValueError was raised"),
    "pytest.fail('it came too late')": ("The clause", "it came too late"),
    "os.close(-1)": ("The clause", "a call failed with EBADF (Bad file descriptor)"),
    "close(-1)": ("The clause", "close failed with EBADF (Bad file descriptor)"),
    "fork(close, -1).result()": ("The clause", "close failed with EBADF (Bad file descriptor)"),
    "open('/no/such')": ("The clause", "a call failed with ENOENT (No such file or directory) on '/no/such'"),
    "fork(os.abort).result()": ("The clause", "<child N (abort)> was killed by SIGABRT"),
    "assert a == b, program('close(-1)')": (
        "a to be b, which is 2",
        "it is 1: close failed with EBADF (Bad file descriptor)",
    ),
    "assert a == b, program('os.close(-1)')": (
        "a to be b, which is 2",
        "it is 1: a call failed with EBADF (Bad file descriptor)",
    ),
    "assert a == b, program('assert 0, 6')": ("a to be b, which is 2", "it is 1: 6"),
    "assert a == b, program('assert 0')": ("a to be b, which is 2", "it is 1"),
    "with fails_with(errno.EEXIST): close(-1)": ("EEXIST", "close failed with EBADF (Bad file descriptor)"),
}

HEAD = """
import errno, os, pytest, signal, subprocess, sys
from helpers import compare
from plain import refuse, unexplained
from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import Deadline, close

class Unshown:
    def __repr__(self): 1 / 0

def comes_true(condition):
    return condition()

def program(source):
    # its output, which ends with what it died of
    source = "import os; from pytest_ipc.kernel import close; " + source
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True).stderr
"""

CLAUSE = """
@clause("a.case-{number}", "a(2)", "DESCRIPTION")
def test_case_{number}(fork):
    '''The clause.'''
    a, b = 1, 2
    {body}
"""


@pytest.fixture
def said(pytester: pytest.Pytester):
    """Run each line of SAID as a clause: the deviation of each line."""

    def run(*arguments: str) -> dict[str, tuple[str | None, str | None]]:
        pytester.makeconftest("import pytest\npytest.register_assert_rewrite('helpers')\n")
        pytester.makepyfile(
            helpers="def compare(left, right):\n    assert left == right\n",
            plain="'PYTEST_DONT_REWRITE'\ndef refuse(left, right):\n    assert left == right\n"
            "def unexplained():\n    raise AssertionError\n",
            test_them=HEAD + "".join(CLAUSE.format(number=number, body=body) for number, body in enumerate(SAID)),
        )
        pytester.runpytest_subprocess("-p", "no:cacheprovider", "--junit-xml=junit.xml", *arguments)
        found: dict[str, tuple[str | None, str | None]] = {}
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase"):
            facts = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
            body = list(SAID)[int(str(facts["clause"]).rpartition("-")[2])]
            observed = re.sub(r"<child \d+", "<child N", str(facts["observed"]))
            found[body] = facts["expected"], observed
        return found

    return run


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_deviation_has_expected_and_observed_in_words(said, arguments):
    assert said(*arguments) == SAID


def test_only_long_values_are_shortened():
    assert assertions.show([1, "a", b"b"]) == "[1, 'a', b'b']"
    assert assertions.show("x" * 158) == repr("x" * 158)
    assert assertions.show(set(range(100))).endswith(" and so on")


def test_assertion_outside_a_clause_is_pytests(pytester):
    """In a run with a clause: the assertion is an AssertionError in child and parent, with pytest's text."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_ipc import clause

        @clause("a.b", "a(2)", "S")
        def test_clause():
            'It is one.'
            assert 1 == 2

        def test_plain(fork):
            def life():
                assert 1 == 2
            with pytest.raises(AssertionError) as caught:
                fork(life).result()
            assert type(caught.value) is AssertionError
            assert str(caught.value).startswith("assert 1 == 2")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])


def test_no_verdict_depends_on_what_a_reproducer_needs(monkeypatch):
    def fails(*_arguments):
        raise TypeError("planted")

    monkeypatch.setattr(assertions, "of_comparison", fails)
    monkeypatch.setattr(assertions, "_judging", True)
    monkeypatch.setattr(assertions, "_noted", None)
    assertions.note("==", 1, 2)
    assert assertions._noted is not None
    assert assertions._noted.measure is None

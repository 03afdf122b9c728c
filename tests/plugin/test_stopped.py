"""A child of os.fork() that returns into pytest during its test is stopped there, and the test fails."""

from __future__ import annotations

from collections import Counter

import pytest

from .conftest import ADVICE

WAYS = {
    "returns": ("return", ["it returned"], 1),
    "fails": ("assert 'child' == 'parent'", ["*AssertionError*'child' == 'parent'*"], 1),
    "raises": ("raise LookupError('of the child')", ["*LookupError: of the child"], 1),
    "exits": ("sys.exit(7)", ["*SystemExit: 7"], 7),
    "exits with 0": ("sys.exit()", ["*SystemExit"], 0),
    "exits with a message": ("sys.exit('of the child')", ["*SystemExit: of the child"], 1),
    "exits with much": ("sys.exit(263)", ["*SystemExit: 263"], 7),
    "is interrupted": ("raise KeyboardInterrupt('in the child')", ["*KeyboardInterrupt: in the child"], 1),
    "skips": ("pytest.skip('in the child')", ["*Skipped: in the child"], 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_child_that_returns_fails_its_parents_test(run, way):
    statement, reported, status = WAYS[way]
    result, log = run(f"""
def test_forks(resource):
    pid = os.fork()
    if pid == 0:
        {statement}
    wait(pid)
    log("parent went on")
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_forks*", ADVICE, "child *, in the call:", *reported])
    assert log == Counter(
        {
            "before": 1,
            f"child left with {status}": 1,
            "parent went on": 1,
            "test_forks torn down": 1,
            "after": 1,
            "test_after torn down": 1,
            "session torn down": 1,
        }
    )


@pytest.mark.parametrize("how", [["-n", "2"], ["-s"], ["--capture=sys"], ["-p", "no:terminal"], ["-p", "no:capture"]])
def test_it_is_so_however_pytest_is_run(run, how):
    result, log = run(
        """
def test_forks(resource):
    pid = os.fork()
    if pid == 0:
        raise LookupError("of the child")
    wait(pid)
""",
        *how,
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    if "no:terminal" not in how:
        result.assert_outcomes(passed=2, failed=1)
        result.stdout.fnmatch_lines([ADVICE, "*LookupError: of the child"])
    assert (log["child left with 1"], log["test_forks torn down"], log["before"], log["after"]) == (1, 1, 1, 1)


FIXTURES = {
    "setup": "{fork}\n    yield",
    "teardown": "yield\n    {fork}",
    "finalizer": "request.addfinalizer(lambda: come_back())\n    yield",
}


@pytest.mark.parametrize("way", ["returns", "raises"])
@pytest.mark.parametrize("phase", FIXTURES)
def test_it_is_so_in_fixtures(run, phase, way):
    statement, reported, _ = WAYS[way]
    result, log = run(f"""
def come_back():
    pid = os.fork()
    if pid == 0:
        {statement}
    else:
        wait(pid)

@pytest.fixture
def outer(resource):
    log("outer set up")
    yield
    log("outer torn down")

@pytest.fixture
def forks(outer, request):
    {FIXTURES[phase].format(fork="come_back()")}

@pytest.fixture
def inner(forks):
    log("inner set up")
    yield
    log("inner torn down")

def test_forks(inner):
    log("ran")
""")
    result.assert_outcomes(passed=2 if phase == "setup" else 3, errors=1)
    part = "setup" if phase == "setup" else "tear-down"
    result.stdout.fnmatch_lines([ADVICE, f"child *, in the {part} of the fixture 'forks':"])
    if phase == "setup":
        result.stdout.fnmatch_lines(reported)
        assert log["inner set up"] == 1
    else:
        assert (log["inner torn down"], log["ran"]) == (1, 1)
    assert (log["child left with 1"], log["outer torn down"], log["test_forks torn down"]) == (1, 1, 1)


@pytest.mark.parametrize("where", ["test", "setUp", "subtest"])
@pytest.mark.parametrize("way", ["returns", "fails", "exits"])
def test_it_is_so_in_unittest(run, where, way):
    statement, reported, status = WAYS[way]
    result, log = run(f"""
class TestOld(unittest.TestCase):
    def come_back(self):
        {statement}

    def fork(self):
        pid = os.fork()
        if pid:
            wait(pid)
        else:
            self.come_back()
        return pid

    def setUp(self):
        {"self.fork()" if where == "setUp" else "pass"}

    def tearDown(self):
        log("tearDown")

    def test_forks(self):
        log("ran")
        {"self.fork()" if where == "test" else "pass"}
        if {where == "subtest"}:
            with self.subTest("inner"):
                self.fork()
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the call:", *reported])
    assert (log[f"child left with {status}"], log["tearDown"], log["ran"], log["after"]) == (1, 1, 1, 1)


def test_failed_or_skipped_test_reports_its_child(run):
    result, _ = run("""
def forks():
    pid = os.fork()
    if pid == 0:
        raise LookupError("of the child")
    wait(pid)

def test_fails():
    forks()
    assert "parent" == "failed"

def test_skips():
    forks()
    pytest.skip("by the parent")
""")
    result.assert_outcomes(passed=2, failed=2)
    assert result.stdout.str().count("LookupError: of the child") == 2
    result.stdout.fnmatch_lines(["*'parent' == 'failed'*"])


def test_each_of_several_children_is_reported(run):
    result, log = run("""
def test_forks():
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            raise LookupError(f"child number {number}")
        wait(pid)
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"*LookupError: child number {number}" for number in range(3)])
    assert log["child left with 1"] == 3


def test_grandchild_that_returns_is_stopped(run):
    result, log = run("""
def test_forks():
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            raise LookupError("of the grandchild")
        os.wait()
        return
    wait(pid)
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*LookupError: of the grandchild", "it returned"])
    assert (log["after"], log["session torn down"]) == (1, 1)

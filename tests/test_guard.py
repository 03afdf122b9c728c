"""Bare forks: a child of os.fork() that comes back into pytest is stopped, told of, and does no harm; others are left alone."""

from __future__ import annotations

from collections import Counter

import pytest

ADVICE = "*A child of os.fork() came back into pytest's own code and was stopped there.*`fork` fixture*"

# What ran is written down with one append a line: a line that is there twice was run twice.
LOG = """
import os
import sys
import time
import unittest

import pytest


def log(what):
    fd = os.open(os.environ["IPC_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{what}\\n".encode())
    os.close(fd)


def wait(pid):
    log(f"child left with {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


@pytest.fixture(scope="session", autouse=True)
def session():
    yield
    log("session torn down")


@pytest.fixture
def resource(request):
    yield
    log(f"{request.node.name} torn down")


def test_before():
    log("before")
"""
AFTER = """

def test_after(resource):
    log("after")
"""
WAYS = {
    "returns": ("return", ["it returned"]),
    "fails": ("assert 'child' == 'parent'", ["*AssertionError*'child' == 'parent'*"]),
    "raises": ("raise LookupError('of the child')", ["*LookupError: of the child"]),
    "exits": ("sys.exit(0)", ["*SystemExit: 0"]),
    "is interrupted": ("raise KeyboardInterrupt('in the child')", ["*KeyboardInterrupt: in the child"]),
    "skips": ("pytest.skip('in the child')", ["*Skipped: in the child"]),
}


@pytest.fixture
def run(pytester, monkeypatch, tmp_path):
    """Run a file of tests in a pytest of its own: the result, and how often each line was logged."""
    log = tmp_path / "log"
    monkeypatch.setenv("IPC_LOG", str(log))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def run(source, *arguments):
        log.unlink(missing_ok=True)
        pytester.makepyfile(LOG + source + AFTER)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
        return result, Counter(log.read_text().splitlines())

    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_comes_back_fails_its_parents_test(run, way):
    statement, told = WAYS[way]
    result, log = run(f"""
def test_forks(resource):
    pid = os.fork()
    if pid == 0:
        {statement}
    wait(pid)
    log("parent went on")
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_forks*", ADVICE, "child *, in the call:", *told])
    assert log == Counter(
        {
            "before": 1,
            "child left with 1": 1,
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
    statement, told = WAYS[way]
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
        result.stdout.fnmatch_lines(told)
        assert log["inner set up"] == 1
    else:
        assert (log["inner torn down"], log["ran"]) == (1, 1)
    assert (log["child left with 1"], log["outer torn down"], log["test_forks torn down"]) == (1, 1, 1)


@pytest.mark.parametrize("where", ["test", "setUp", "subtest"])
@pytest.mark.parametrize("way", ["returns", "fails", "exits"])
def test_it_is_so_in_unittest(run, where, way):
    statement, told = WAYS[way]
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
    result.stdout.fnmatch_lines([ADVICE, "child *, in the call:", *told])
    assert (log["child left with 1"], log["tearDown"], log["ran"], log["after"]) == (1, 1, 1, 1)


def test_a_test_that_fails_or_skips_itself_tells_of_its_child_too(run):
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


def test_several_children_are_told_of_each(run):
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


def test_a_grandchild_that_comes_back_is_stopped_too(run):
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


LATE = """
@pytest.fixture(scope="session")
def gate():
    reader, writer = os.pipe()
    yield reader, writer
    os.write(writer, b"x")  # the last tests are over: now it may come back
    os.wait()

def test_forks(gate):
    if os.fork() == 0:
        os.read(gate[0], 1)
        raise LookupError("late")
"""


@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=["alone", "worker"])
def test_a_child_that_comes_back_after_its_test_fails_what_runs_then(run, how):
    """The gate's tear-down is that of the last test, which is told whose child it was."""
    result, log = run(LATE, *how)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["child * of *test_forks:", "*LookupError: late"])
    assert log["session torn down"] == 1


@pytest.mark.parametrize("how", [[], ["-n", "1"], ["-p", "no:terminal"]], ids=["alone", "worker", "no terminal"])
def test_a_child_that_comes_back_after_the_last_test_fails_the_session(pytester, run, how):
    pytester.makeconftest("""
        import os
        import pytest

        class Late:
            def pytest_sessionfinish(self):
                os.write(int(os.environ["IPC_WRITER"]), b"x")
                os.wait()

        def pytest_configure(config):
            if hasattr(config, "workerinput") or not config.option.numprocesses:
                config.pluginmanager.register(Late())
                reader, writer = os.pipe()
                os.environ |= {"IPC_READER": str(reader), "IPC_WRITER": str(writer)}
        """)
    result, log = run(
        """
def test_forks():
    if os.fork() == 0:
        os.read(int(os.environ["IPC_READER"]), 1)
        raise LookupError("late")
""",
        *how,
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    if "no:terminal" not in how:
        result.assert_outcomes(passed=3)
        result.stdout.fnmatch_lines(["*= bare forks =*", "*It was too late to fail *test_forks.", "*LookupError: late"])
    assert log["session torn down"] == 1


def test_a_child_of_multiprocessing_that_does_not_come_back_is_left_alone(run):
    result, log = run("""
import multiprocessing

def life(queue):
    queue.put(os.getpid())
    sys.exit(3)

def test_forks(resource):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=life, args=(queue,))
    process.start()
    assert queue.get() == process.pid != os.getpid()
    process.join()
    assert process.exitcode == 3

def test_leaves_by_itself():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    wait(pid)
""")
    result.assert_outcomes(passed=4)
    assert (log["child left with 7"], log["test_forks torn down"]) == (1, 1)


def test_a_fork_while_tests_are_collected_runs_none_twice(run):
    result, log = run("""
pid = os.fork()
if pid:
    wait(pid)
""")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the session before it:"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Its parent waits for it while tests are collected, so that it is at its first test before the parent is.
    assert (log["child left with 1"], log["before"], log["after"], log["session torn down"]) == (1, 0, 1, 1)


def test_a_plugin_that_runs_whole_tests_in_children_may(pytester, run):
    """As pytest-forked does: the child runs the test's protocol, sends the reports, and is ended by the plugin."""
    pytester.makeconftest("""
        import os
        import pickle
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            if item.name != "test_isolated":
                return None
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                told = []
                for when, phase in (
                    ("setup", lambda: item.ihook.pytest_runtest_setup(item=item)),
                    ("call", lambda: item.ihook.pytest_runtest_call(item=item)),
                    ("teardown", lambda: item.ihook.pytest_runtest_teardown(item=item, nextitem=nextitem)),
                ):
                    call = pytest.CallInfo.from_call(phase, when=when)
                    told.append(item.ihook.pytest_runtest_makereport(item=item, call=call).outcome)
                os.write(writer, pickle.dumps(told))
                os._exit(0)
            os.close(writer)
            with open(reader, "rb") as file:
                print("OUTCOMES", pickle.load(file))
            os.waitpid(pid, 0)
            return True
        """)
    result, _ = run(
        """
def test_isolated():
    log(f"isolated")
""",
        "-s",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*OUTCOMES [[]'passed', 'passed', 'passed']*"])

"""Children that return into pytest after their test, or were forked before one; and those that never do."""

from __future__ import annotations

import pytest

from .conftest import ADVICE

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
def test_child_that_returns_late_fails_the_current_test(run, how):
    """The tear-down of the session fixture runs in the last test, whose failure names the child's test."""
    result, log = run(LATE, *how)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["child * of *test_forks:", "*LookupError: late"])
    assert log["session torn down"] == 1


@pytest.mark.parametrize("how", [[], ["-n", "1"], ["-p", "no:terminal"]], ids=["alone", "worker", "no terminal"])
def test_child_that_returns_after_the_last_test_fails_the_session(pytester, run, how):
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


def test_a_fork_while_tests_are_collected_runs_none_twice(run):
    result, log = run("""
pid = os.fork()
if pid:
    wait(pid)
""")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the collection of *.py:"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Its parent waits for it while tests are collected, so that it is at its first test before the parent is.
    assert (log["child left with 1"], log["before"], log["after"], log["session torn down"]) == (1, 0, 1, 1)


@pytest.mark.parametrize("way", ["returns", "raises"])
def test_a_fork_while_a_conftest_is_imported_runs_none_twice(pytester, run, way):
    pytester.makeconftest(f"""
        import os
        if (pid := os.fork()) == 0:
            if {way == "raises"}:
                raise LookupError("of the child")
        else:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        """)
    result, log = run("")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the import of a conftest.py:"])
    if way == "raises":
        result.stdout.fnmatch_lines(["*LookupError: of the child"])
    assert (log["before"], log["after"], log["session torn down"]) == (0, 1, 1)


def test_a_fork_in_a_session_fixture_tears_nothing_down_twice(run):
    result, log = run("""
@pytest.fixture(scope="session")
def forks(session):
    if (pid := os.fork()):
        wait(pid)
    yield
    log("forks torn down")

def test_forks(forks, resource):
    log("ran")
""")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the setup of the fixture 'forks':", "it returned"])
    assert (log["child left with 1"], log["ran"], log["forks torn down"], log["session torn down"]) == (1, 0, 1, 1)


def test_multiprocessing_child_is_not_stopped(run):
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


def test_a_plugin_that_runs_whole_tests_in_children_may(pytester, run):
    """As pytest-forked does: the child runs the test's protocol, sends the reports, and is ended by the plugin.

    A child that the test itself forks in there is stopped.
    """
    pytester.makeconftest("""
        import os
        import pickle
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            if not item.name.startswith("test_isolated"):
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
    result, log = run(
        """
@pytest.mark.parametrize("forks", [False, True])
def test_isolated(forks, resource):
    log(f"isolated")
    if forks and (pid := os.fork()):
        wait(pid)
""",
        "-s",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*OUTCOMES [[]'passed', 'passed', 'passed']*", "*OUTCOMES [[]'passed', 'failed', 'passed']*"]
    )
    assert (log["child left with 1"], log["isolated"], log["session torn down"]) == (1, 2, 1)
    assert log["test_isolated[True] torn down"] == log["test_isolated[False] torn down"] == 1

"""The fork guard in correct runs: tests that patch what it needs, close every descriptor, or fork themselves."""

from __future__ import annotations

import pytest

from .conftest import ADVICE

PATCHED = {
    "monkeypatch": """
@pytest.fixture(autouse=True)
def patched(monkeypatch):
    for name in NAMES:
        monkeypatch.setattr(os, name, answer)
""",
    "setUp": """
class TestOld(unittest.TestCase):
    def setUp(self):
        from unittest import mock
        for name in NAMES:
            patch = mock.patch.object(os, name, answer)
            patch.start()
            self.addCleanup(patch.stop)

    def test_it(self):
        assert os.getpid() == 99

    def test_again(self):
        assert os.getpid() == 99
""",
    "left patched": """
def test_patches():
    os.getpid = answer
""",
}


@pytest.mark.parametrize("how", PATCHED)
def test_a_patched_function_decides_nothing(run, how):
    source = f"""
NAMES = ["getpid", "getppid", "pread", "kill", "waitpid", "_exit"]

def answer(*arguments, **named):
    return 99
{PATCHED[how]}
def test_one():
    pass

def test_two():
    pass
"""
    result, log = run(source)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    result.assert_outcomes(passed={"monkeypatch": 4, "setUp": 6, "left patched": 5}[how])
    assert log["session torn down"] == 1


@pytest.mark.parametrize("where", ["test", "setUp"])
def test_a_child_is_stopped_where_the_process_id_is_patched(run, where):
    result, log = run(f"""
from unittest import mock

class TestOld(unittest.TestCase):
    def setUp(self):
        if {where == "setUp"}:
            self.fork()

    @mock.patch("os._exit", lambda status: None)
    @mock.patch("os.getpid", lambda: 99)
    def test_forks(self):
        if {where == "test"}:
            self.fork()

    def fork(self):
        if (pid := os.fork()) == 0:
            raise LookupError("of the child")
        wait(pid)

    def tearDown(self):
        log("tearDown")
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*LookupError: of the child"])
    assert (log["child left with 1"], log["tearDown"], log["session torn down"]) == (1, 1, 1)


def test_guard_holds_no_descriptor(run):
    """With --capture=sys pytest has none either that it would miss."""
    result, _ = run(
        """
def test_closes_and_opens():
    os.closerange(3, 256)
    global files
    files = [open(__file__) for _ in range(8)]

def test_forks():
    if (pid := os.fork()) == 0:
        raise LookupError("of the child")
    wait(pid)

def test_closes_and_forks():
    for file in files:
        file.readline(), file.close()
    if (pid := os.fork()) == 0:
        os.closerange(3, 256)
        raise KeyError("without descriptors")
    wait(pid)
""",
        "--capture=sys",
        "-p",
        "no:logging",  # it closes its own descriptor at the end, which the test has closed
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["*LookupError: of the child", "*KeyError: 'without descriptors'"])


def test_a_fork_opens_no_descriptor(run):
    result, _ = run("""
def test_forks():
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        if (pid := os.fork()) == 0:
            os._exit(7)
        wait(pid)
    assert os.listdir("/proc/self/fd") == before

def test_the_child_was_stopped():
    before = os.listdir("/proc/self/fd")
    if (pid := os.fork()) == 0:
        return
    wait(pid)
    assert os.listdir("/proc/self/fd") == before
""")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["it returned"])


def test_child_without_descriptors_is_stopped_and_reported(run):
    """Another root directory and another user: it could neither import anything nor open a file of its parent's."""
    if __import__("os").geteuid() != 0:
        pytest.skip("needs to be user 0, to become another one")
    result, _ = run("""
from resource import RLIMIT_FSIZE, RLIMIT_NOFILE, setrlimit

def test_forks(tmp_path):
    if (pid := os.fork()) == 0:
        os.chroot(tmp_path)
        os.chdir("/")
        os.setgid(12345)
        os.setuid(12345)
        setrlimit(RLIMIT_FSIZE, (0, 0))
        setrlimit(RLIMIT_NOFILE, (0, 0))
        raise LookupError("from afar")
    wait(pid)
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["child * in the call:", "*LookupError: from afar"])


def test_output_before_the_fork_is_kept(run):
    """The child does not run pytest's capture, which would take it from the file that both have."""
    result, _ = run("""
def test_forks():
    print("printed before")
    os.write(1, b"written before\\n")
    if (pid := os.fork()) == 0:
        raise LookupError("of the child")
    wait(pid)
    print("printed after")
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*LookupError: of the child", "*Captured stdout call*"])
    for line in ("printed before", "written before", "printed after"):
        assert result.stdout.str().count(f"\n{line}\n") == 1


def test_more_children_than_note_slots_are_all_stopped(run):
    result, log = run("""
def test_forks():
    children = []
    for number in range(40):
        children.append(os.fork())
        if children[-1] == 0:
            raise LookupError("x" * 10_000, chr(0x1F600) * 5_000, f"number {number}.")
    for pid in children:
        wait(pid)

def test_forks_again():
    if (pid := os.fork()) == 0:
        raise LookupError("again")
    wait(pid)
""")
    result.assert_outcomes(passed=2, failed=2)
    assert result.stdout.str().count("number 1.") == 1
    assert result.stdout.str().count("\nchild ") >= 32
    result.stdout.fnmatch_lines(["*LookupError: again"])
    assert (log["child left with 1"], log["session torn down"]) == (41, 1)


FORKS_BELOW_PYTHON = """
import ctypes

def fork():
    return ctypes.PyDLL(None).fork()
"""


@pytest.mark.parametrize("where", ["test", "setUp", "fixture"])
def test_a_fork_below_python_is_found_before_fixtures_are_torn_down(run, where):
    """Python does not notice the fork: the test also ends in the child before the pids are compared."""
    result, log = run(f"""
{FORKS_BELOW_PYTHON}

def come_back():
    if (pid := fork()) == 0:
        raise LookupError("of the child")
    wait(pid)

@pytest.fixture
def forks(resource):
    if {where == "fixture"}:
        come_back()
    yield
    log("forks torn down")

class TestOld(unittest.TestCase):
    def setUp(self):
        if {where == "setUp"}:
            come_back()

    def test_old(self):
        pass

def test_forks(forks):
    if {where == "test"}:
        come_back()
""")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines([ADVICE, "child *, in the test:"])
    assert (log["child left with 1"], log["forks torn down"], log["test_forks torn down"]) == (1, 1, 1)
    assert (log["after"], log["session torn down"]) == (1, 1)


def test_children_that_call_pytest_are_not_stopped(run):
    result, log = run("""
@pytest.fixture
def value():
    return 7

def test_asks_for_a_fixture(request):
    if (pid := os.fork()) == 0:
        os._exit(request.getfixturevalue("value"))
    wait(pid)

class TestOld(unittest.TestCase):
    def test_runs_others(self):
        if (pid := os.fork()) == 0:
            class Inner(unittest.TestCase):
                def test_fails(self):
                    self.fail()
            ran = unittest.TestResult()
            Inner("test_fails").run(ran)
            os._exit(8 if len(ran.failures) == 1 else 9)
        wait(pid)

def test_runs_another_pytest(tmp_path):
    (tmp_path / "test_inner.py").write_text("def test_it(): pass")
    if (pid := os.fork()) == 0:
        os._exit(10 + pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]))
    wait(pid)
""")
    result.assert_outcomes(passed=5)
    assert [log[f"child left with {status}"] for status in (7, 8, 10)] == [1, 1, 1]


@pytest.mark.parametrize("hook", ["pytest_cmdline_main", "pytest_runtestloop"])
def test_plugin_may_run_tests_in_a_child(pytester, run, hook):
    """One that goes to the background, and one that starts workers of its own."""
    pytester.makeconftest(f"""
        import os
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def {hook}():
            if (pid := os.fork()) == 0:
                result = yield
                os._exit(7)
            os.waitpid(pid, 0)
            os._exit(8)
        """)
    result, log = run("", "-s")
    assert result.ret == 8
    assert log["before"] == log["after"] == 1

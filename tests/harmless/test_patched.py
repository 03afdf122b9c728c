"""Every fixture in tests that patch clocks, files and calls with common tools, requested before ours and after.

Each run is a pytest of its own with one tool; a deadline that never comes ends it by pytest-timeout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from . import exercises

HERE = Path(__file__).parent

HEAD = """
import builtins, fcntl, json, os, select, signal, time
import pytest
import exercises

pytestmark = pytest.mark.timeout(60)
NAMES = list(exercises.EXERCISES)
"""

# A tool: the code before the tests, the fixture that patches, and the code around an exercise.
FREEZEGUN = """
import freezegun

@pytest.fixture
def patched():
    with freezegun.freeze_time("2018-02-14 11:00:00"):
        before = time.monotonic(), time.time()
        yield
        assert (time.monotonic(), time.time()) == before
"""
FREEZEGUN_TICKS = """
import freezegun

@pytest.fixture
def patched():
    # Each look at the clock is an hour later.
    with freezegun.freeze_time("2018-02-14 11:00:00", auto_tick_seconds=3600):
        yield
"""
TIME_MACHINE = """
@pytest.fixture
def patched(time_machine):
    time_machine.move_to("2018-02-14 11:00:00", tick=False)
"""
PYFAKEFS = """
@pytest.fixture
def patched(fs):
    assert not os.path.exists(exercises.__file__)
"""
ANSWERS = """
TIMES = ["monotonic", "time", "perf_counter", "clock_gettime", "sleep"]

def answers():
    for name in TIMES:
        yield time, name, lambda *_: 7.5
    for name in ["monotonic_ns", "time_ns"]:
        yield time, name, lambda *_: 7
    for name in "getpid getppid kill waitpid fork fstat pread dup2 killpg urandom mkfifo".split():
        yield os, name, lambda *_arguments, **_named: 99
    for name in "getsignal signal pthread_sigmask pthread_kill sigtimedwait sigwaitinfo set_wakeup_fd".split():
        yield signal, name, lambda *_arguments: signal.SIG_DFL
    yield select, "poll", lambda: None
    yield select, "select", lambda *_arguments: ([], [], [])
    for name in ["flock", "fcntl", "lockf"]:
        yield fcntl, name, lambda *_arguments: 0
    for name in ["dumps", "loads"]:
        yield json, name, lambda *_arguments: "patched"
"""
MOCKER = (
    ANSWERS
    + """
@pytest.fixture
def patched(mocker):
    for module, name, answer in answers():
        mocker.patch.object(module, name, side_effect=answer)
"""
)
MONKEYPATCH = (
    ANSWERS
    + """
@pytest.fixture
def patched(monkeypatch):
    for module, name, answer in answers():
        monkeypatch.setattr(module, name, answer)
"""
)
FAILING = """
def fails(*arguments, **named):
    raise PermissionError(1, "patched")

@pytest.fixture
def patched(mocker):
    for name in "open read write close stat lstat unlink rmdir mkdir listdir readlink rename".split():
        mocker.patch.object(os, name, side_effect=fails)
    mocker.patch.object(builtins, "open", side_effect=fails)
    mocker.patch.object(os.path, "exists", side_effect=fails)
"""

TESTS = """
@pytest.mark.parametrize("name", NAMES)
def test_patched_before(patched, request, name):
    ours, fork = request.getfixturevalue(name), request.getfixturevalue("fork")
    exercises.EXERCISES[name](ours, fork)

@pytest.mark.parametrize("name", NAMES)
def test_patched_after(request, name):
    ours, fork = request.getfixturevalue(name), request.getfixturevalue("fork")
    request.getfixturevalue("patched")
    exercises.EXERCISES[name](ours, fork)

def test_no_process_remains():
    tasks = os.listdir("/proc/self/task")
    children = [pid for task in tasks for pid in read(f"/proc/self/task/{task}/children").split()]
    assert [pid for pid in children if "pytest_ipc.custody.reaper" not in read(f"/proc/{pid}/cmdline")] == []

def read(path):
    with open(path) as file:
        return file.read()
"""

TOOLS = {
    "freezegun": (FREEZEGUN, "freezegun"),
    "freezegun that ticks": (FREEZEGUN_TICKS, "freezegun"),
    "time-machine": (TIME_MACHINE, "time_machine"),
    "pyfakefs": (PYFAKEFS, "pyfakefs"),
    "pytest-mock": (MOCKER, "pytest_mock"),
    "pytest-mock that fails": (FAILING, "pytest_mock"),
    "monkeypatch": (MONKEYPATCH, ""),
}


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, *command: str) -> None:
    """Run every exercise; two for each fixture and one for leaks."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(pytester.path))
    pytester.path.chmod(0o700)
    pytester.makepyfile(HEAD + source + TESTS)
    command = command or (sys.executable, "-m", "pytest")
    result = pytester.run(*command, "-p", "no:cacheprovider", "-q", "-rfEs", "--capture=sys", timeout=300)
    outcomes = result.parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}, result.stdout.str()
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 2 * len(exercises.EXERCISES) + 1
    assert outcomes.get("skipped", 0) <= 4  # ipc_namespace and two_hosts, where they are not allowed
    assert os.listdir(pytester.path / "pytest-ipc") == []  # no record is open


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tool", TOOLS)
def test_every_fixture_works_where_the_test_has_patched(pytester, monkeypatch, tool):
    source, module = TOOLS[tool]
    if module:
        pytest.importorskip(module)
    run(pytester, monkeypatch, source)


GEVENT = """
@pytest.fixture
def patched():
    import gevent
    import gevent.monkey
    assert gevent.monkey.is_module_patched("os")
    gevent.sleep(0)
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["conftest", "gevent.monkey"])
def test_every_fixture_works_where_gevent_has_patched_everything(pytester, monkeypatch, how):
    pytest.importorskip("gevent")
    if how == "conftest":
        pytester.makeconftest("from gevent import monkey\nmonkey.patch_all()\n")
        run(pytester, monkeypatch, GEVENT)
    else:
        run(pytester, monkeypatch, GEVENT, sys.executable, "-m", "gevent.monkey", "--module", "pytest")


UNUSED = """
import os
import time

def test_files(fs):
    fs.create_file("/x/y", contents="z")
    assert open("/x/y").read() == "z"

def test_clock(frozen):
    assert time.strftime("%Y") == "2018"

def test_plain():
    assert os.path.exists("/etc/passwd")
"""


@pytest.mark.parametrize("how", [[], ["-n", "1"], ["--capture=sys"]], ids=["alone", "worker", "capture by sys"])
def test_tests_that_use_the_tools_and_no_fixture_of_ours_pass(pytester, how):
    pytest.importorskip("pyfakefs")
    pytest.importorskip("freezegun")
    pytester.makeconftest("""
        import freezegun
        import pytest

        @pytest.fixture
        def frozen():
            with freezegun.freeze_time("2018-02-14"):
                yield
        """)
    pytester.makepyfile(UNUSED)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *how).assert_outcomes(passed=3)


GREENLETS = """
import os
import gevent

def wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    with open("log", "a") as file:
        file.write("waited\\n")

def test_fork():
    if (pid := os.fork()) == 0:
        raise LookupError("of the child")
    wait(pid)

def test_fork_in_a_greenlet():
    def life():
        if (pid := os.fork()):
            return pid
        raise KeyError("of the greenlet")  # which ends it, and the test goes on in the child

    greenlet = gevent.spawn(life)
    greenlet.join()
    wait(greenlet.value)

def test_after():
    with open("log", "a") as file:
        file.write("after\\n")
"""


@pytest.mark.parametrize("patched", [False, True])
def test_children_that_greenlets_fork_are_stopped(pytester, patched):
    """gevent has its own fork, and a child may return through another greenlet than the one that forked it."""
    pytest.importorskip("gevent")
    if patched:
        pytester.makeconftest("from gevent import monkey\nmonkey.patch_all()\n")
    pytester.makepyfile(GREENLETS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["*A child of os.fork() returned into pytest's own code*", "*LookupError: of the child"]
    )
    assert (pytester.path / "log").read_text().splitlines() == ["waited", "waited", "after"]

"""A run of a suite: its verdicts, its exit status, and what is told when the suite itself breaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_SH, flock
from pathlib import Path

import pytest

HOLDS = "@clause('a.holds', 'a(2)', 'S')\ndef test_holds():\n    'It holds.'\n"
DEVIATES = "@clause('a.deviates', 'a(2)', 'S')\ndef test_deviates():\n    'It holds.'\n    assert 1 == 2\n"
ABSENT = "@clause('a.absent', 'a(2)', 'S')\ndef test_absent():\n    'It holds.'\n    raise OSError(38, 'a')\n"
BREAKS = "@clause('a.breaks', 'a(2)', 'S')\ndef test_breaks():\n    'It holds.'\n    undefined_name\n"
KILLS = "@clause('a.kills', 'a(2)', 'S')\ndef test_kills():\n    'It holds.'\n    import os; os.kill(os.getpid(), 9)\n"
INTERRUPTS = (
    "@clause('a.interrupts', 'a(2)', 'S')\ndef test_interrupts():\n    'It holds.'\n    raise KeyboardInterrupt\n"
)

LOCKED = """
import os
from errno import EWOULDBLOCK
from fcntl import LOCK_EX, LOCK_NB
from pytest_ipc import fails_with
from pytest_ipc.kernel import flock

@clause('a.locked', 'a(2)', 'S')
def test_locked(tmp_path_factory):
    'It holds.'
    folder = os.open(tmp_path_factory.getbasetemp().parent, os.O_RDONLY)
    try:
        with fails_with(EWOULDBLOCK):
            flock(folder, LOCK_EX | LOCK_NB)
    finally:
        os.close(folder)
"""

RUN = """
import json, sys
from pathlib import Path
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.runner import run
root = Path(sys.argv[1])
run.CLAUSE_SECONDS, run.slowness = float(sys.argv[3]), lambda: 1.0
reported = []
def report(id, verdict):
    reported.append(f"{id} {verdict.verdict} {verdict.reason}".strip())
known = json.loads(sys.argv[4])
result = run.run(root, suite.clauses(root), report, processes=sys.argv[2], stop_unless=known)
verdicts = {found.id: found.verdict.verdict for found in result.results}
if result.stopped:
    reported.append("stopped")
print(json.dumps([result.exit_status, verdicts, result.broken, reported]))
"""


@pytest.fixture
def run_suite(tmp_path: Path):
    """Run a suite of these clauses in its own process; return exit status, verdicts, errors and reported lines."""

    def run(
        *clauses: str,
        model: str = "",
        processes: str = "0",
        conftest: str = "",
        seconds: float = 60,
        stop_unless: list[str] | None = None,
    ):
        root = tmp_path / "root"
        mechanism = root / "mechanism"
        mechanism.mkdir(parents=True)
        (root / "conftest.py").write_text(conftest)
        (mechanism / "test_it.py").write_text("from pytest_ipc import clause\n" + "".join(clauses))
        (mechanism / "test_a_model.py").write_text("from pytest_ipc import clause\n" + model)
        done = subprocess.run(
            [sys.executable, "-c", RUN, root, processes, str(seconds), json.dumps(stop_unless)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_all_hold(run_suite):
    assert run_suite(HOLDS, ABSENT) == [
        0,
        {"a.absent": "absent", "a.holds": "holds"},
        [],
        ["a.holds holds", "a.absent absent ENOSYS: a"],
    ]


def test_conftest_above_the_suite_is_not_loaded(run_suite, tmp_path):
    (tmp_path / "conftest.py").write_text("raise RuntimeError('another project')")
    assert run_suite(HOLDS)[:3] == [0, {"a.holds": "holds"}, []]


def test_models_come_last(run_suite):
    assert run_suite(HOLDS, DEVIATES, model=ABSENT)[3] == [
        "a.holds holds",
        "a.deviates deviates expected 1 to be 2, it is 1",
        "a.absent absent ENOSYS: a",
    ]


FROZEN = """
import gc

@clause('a.frozen', 'a(2)', 'S')
def test_frozen():
    'It holds.'
    assert not any(thing is pytest.main for thing in gc.get_objects())

import pytest
"""


def test_collector_ignores_earlier_files(run_suite):
    assert run_suite(FROZEN)[:3] == [0, {"a.frozen": "holds"}, []]


def test_one_deviates(run_suite):
    status, verdicts, broken, _ = run_suite(HOLDS, DEVIATES)
    assert (status, verdicts, broken) == (1, {"a.holds": "holds", "a.deviates": "deviates"}, [])


@pytest.mark.parametrize("processes", ["0", "1"])
def test_run_stops_at_the_first_unexpected_deviation(run_suite, processes):
    last = HOLDS.replace("holds", "last")
    status, verdicts, broken, reported = run_suite(
        HOLDS, DEVIATES, model=last, processes=processes, stop_unless=["a.other"]
    )
    assert (status, verdicts, broken) == (1, {"a.holds": "holds", "a.deviates": "deviates"}, [])
    assert reported[-1] == "stopped"


def test_run_does_not_stop_at_an_expected_deviation(run_suite):
    last = HOLDS.replace("holds", "last")
    status, verdicts, broken, reported = run_suite(HOLDS, DEVIATES, model=last, stop_unless=["a.deviates"])
    assert (status, broken) == (1, [])
    assert verdicts == {"a.holds": "holds", "a.deviates": "deviates", "a.last": "holds"}
    assert reported[-1] == "a.last holds"


LEAVES = """
import atexit
import os
from pathlib import Path
from pytest_ipc.kernel import CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE, MS_REC, map_user, mount, unshare

@clause('a.mounts', 'a(2)', 'S')
def test_mounts(tmp_path):
    'It holds.'
    ids = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWNS)
    except PermissionError:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        map_user(0, 0, *ids)
    mount(None, "/", None, MS_PRIVATE | MS_REC)
    mount("none", tmp_path, "tmpfs", data="size=64k")
    (tmp_path / "file").touch()
    # Nobody else sees what is mounted here, and so this process tells at its end.
    atexit.register(lambda: Path(os.environ["NOTE"]).write_text(str((tmp_path / "file").exists())))
"""


@pytest.mark.parametrize("leaves_a_mount", [False, True])
def test_temporary_files_go_unless_something_is_mounted_there(run_suite, tmp_path, monkeypatch, leaves_a_mount):
    """What is mounted is not ours to remove: it may be anything."""
    temp = tmp_path / "a folder"
    temp.mkdir()
    (tmp_path / "link").symlink_to(temp)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    monkeypatch.setenv("NOTE", str(tmp_path / "note"))
    status, verdicts, broken, _ = run_suite(LEAVES if leaves_a_mount else HOLDS)
    if verdicts.get("a.mounts") == "untested":
        pytest.skip("needs a mount namespace")
    assert (status, broken) == (0, [])
    folders = [path for path in temp.iterdir() if path.name.startswith("pytest-ipc-check-")]
    assert len(folders) == leaves_a_mount
    if leaves_a_mount:
        assert (tmp_path / "note").read_text() == "True", "what was mounted has been removed"


def test_leftovers_of_a_killed_check_are_removed_after_a_day(run_suite, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    left = {name: tmp_path / f"pytest-ipc-check-{name}" for name in ("dead", "alive", "young")}
    for folder in left.values():
        (folder / "base").mkdir(parents=True)
        (folder / "base/file").touch()
    for name in ("dead", "alive"):
        os.utime(left[name], (0, 0))
    with open_directory(left["alive"]) as held:
        flock(held, LOCK_SH)
        assert run_suite(HOLDS)[0] == 0
    assert {path.name for path in tmp_path.glob("pytest-ipc-check-*")} == {left["alive"].name, left["young"].name}
    assert (left["alive"] / "base/file").exists()


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def test_a_check_holds_its_folder(run_suite, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    status, verdicts, broken, _ = run_suite(LOCKED)
    assert (status, verdicts, broken) == (0, {"a.locked": "holds"}, [])


def _slow(body: str) -> str:
    return (
        "import time, pytest\nfrom contextlib import suppress\n"
        "@clause('a.slow', 'a(2)', 'S')\ndef test_slow(request):\n    'It ends.'\n"
        f"    {body}\n"
    )


# What a test does that has half a second, and what its clause then comes to.
TOO_LONG = {
    "time.sleep(60)": ("deviates", "it did not end within 0.5 s"),
    "with suppress(BaseException): time.sleep(60)": ("deviates", "it did not end within 0.5 s"),
    "with pytest.raises(ValueError): time.sleep(60)": ("deviates", "it did not end within 0.5 s"),
    "try: time.sleep(60)\n    except BaseException: assert 0, 'another'": ("deviates", "it did not end within 0.5 s"),
    "try: time.sleep(60)\n    except BaseException: raise RuntimeError('flaky')": (
        "deviates",
        "it did not end within 0.5 s",
    ),
    "request.addfinalizer(lambda: time.sleep(60))": (
        "untested",
        "needs a machine that is faster: the teardown did not end within 0.5 s",
    ),
}


@pytest.mark.parametrize("processes", ["0", "1"])
@pytest.mark.parametrize("body", TOO_LONG)
def test_clause_that_passes_its_time_limit_is_a_time_out_whatever_catches_it(run_suite, body, processes):
    status, verdicts, broken, lines = run_suite(_slow(body), HOLDS, processes=processes, seconds=0.5)
    verdict, reason = TOO_LONG[body]
    assert (status, verdicts, broken) == (
        int(verdict == "deviates"),
        {"a.slow": verdict, "a.holds": "holds"},
        [],
    )
    assert f"a.slow {verdict} {reason}" in lines


SLOW_MODEL = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from conformance.model import Model, agree
from hypothesis.stateful import rule

class Slow(Model):
    @rule()
    def step(self):
        self.same('step()', lambda: time.sleep(0.05), lambda: None)

@clause('a.slow', 'a(2)', 'S')
def test_slow():
    'It ends.'
    agree(Slow)
"""


def test_model_with_too_much_to_do_is_untested(run_suite):
    status, verdicts, broken, lines = run_suite(SLOW_MODEL, seconds=2)
    assert (status, verdicts, broken) == (0, {"a.slow": "untested"}, [])
    assert "needs a machine that is faster: the model agreed with the kernel for 2 s, but only in " in lines[0]


def test_alarm_kills_the_child(run_suite):
    body = (
        "import os, signal\n    pid = os.fork()\n    if not pid: signal.alarm(1); time.sleep(60); os._exit(0)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGALRM"
    )
    assert run_suite(_slow(body))[:3] == [0, {"a.slow": "holds"}, []]


def test_a_broken_clause_outweighs_a_deviation(run_suite):
    status, verdicts, _, _ = run_suite(DEVIATES, BREAKS)
    assert (status, verdicts) == (3, {"a.deviates": "deviates", "a.breaks": "broken"})


def test_a_suite_that_cannot_be_collected(run_suite):
    status, verdicts, broken, _ = run_suite(HOLDS, "import no_such_module\n")
    assert (status, verdicts) == (3, {})
    assert any("no_such_module" in text for text in broken)


def test_a_suite_whose_conftest_breaks(run_suite):
    status, verdicts, broken, _ = run_suite(HOLDS, conftest="1 / 0\n")
    assert (status, verdicts) == (3, {})
    assert broken == ["a.holds gave no verdict"]


FAMILY = """
import pytest

@clause('a.family', 'a(2)', 'S')
@pytest.mark.parametrize('number', range(4))
def test_family(number):
    'Each is so.'
    assert number != 2
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_clause_of_several_tests_has_the_worst_verdict(run_suite, processes):
    status, verdicts, broken, lines = run_suite(FAMILY, HOLDS, processes=processes)
    assert (status, verdicts, broken) == (1, {"a.family": "deviates", "a.holds": "holds"}, [])
    assert sorted(lines) == ["a.family deviates expected number not to be 2, it is 2", "a.holds holds"]


LATE = """
import os, pytest

@pytest.fixture
def last():
    yield
    raise RuntimeError("late")

@clause('a.late', 'a(2)', 'S')
def test_late(last):
    'It holds.'
"""


def test_clause_is_reported_after_its_fixtures(run_suite):
    assert run_suite(LATE)[1:] == [{"a.late": "broken"}, [], ["a.late broken teardown: RuntimeError: late"]]


PARTLY = """
import os, pytest

@clause('a.partly', 'a(2)', 'S')
@pytest.mark.parametrize('number', range(2))
def test_partly(number):
    'Each is so.'
    if number:
        STOP
"""


@pytest.mark.parametrize(
    ("stop", "processes", "status"), [("raise KeyboardInterrupt", "0", 130), ("os._exit(1)", "1", 3)]
)
def test_clause_with_an_unfinished_test_has_no_verdict(run_suite, stop, processes, status):
    found = run_suite(PARTLY.replace("STOP", stop), processes=processes)
    assert (found[0], found[1], found[3]) == (status, {}, [])
    assert ("a.partly gave no verdict" in found[2]) == (status == 3)


def test_a_worker_that_dies(run_suite):
    status, verdicts, broken, _ = run_suite(HOLDS, KILLS, processes="1")
    assert (status, verdicts) == (3, {"a.holds": "holds"})
    assert any("crashed" in text and "test_kills" in text for text in broken)
    assert "a.kills gave no verdict" in broken


def test_interrupt_keeps_earlier_verdicts(run_suite):
    status, verdicts, broken, _ = run_suite(HOLDS, INTERRUPTS, DEVIATES)
    assert (status, verdicts, broken) == (130, {"a.holds": "holds"}, [])


def test_working_directory_does_not_matter(run_suite, tmp_path, monkeypatch):
    here = tmp_path / "project"
    here.mkdir()
    (here / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (here / "conftest.py").write_text("1 / 0\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    assert run_suite(HOLDS)[0] == 0


DROPPED = """
import os, signal

def interrupt():
    if os.environ.pop('IPC_SIGNAL', ''):
        signal.raise_signal(signal.SIGNO)

@clause('a.forks', 'a(2)', 'S')
def test_forks():
    'It holds, though Python drops the exception that the handler raises in this fork.'
    os.environ['IPC_SIGNAL'] = 'yes'
    os.register_at_fork(before=interrupt)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("signo", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_in_a_fork_ends_the_check_nevertheless(run_suite, signals, signo):
    if signo != "SIGINT":
        signals.default(getattr(signal, signo))  # nohup(1) ignores one
    status, verdicts, broken, _ = run_suite(DROPPED.replace("SIGNO", signo), DEVIATES)
    assert (status, verdicts, broken) == (128 + getattr(signal, signo), {"a.forks": "holds"}, [])

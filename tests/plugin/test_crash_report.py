"""Custody in a run: the report at its start, after the death of a worker, and the end by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline
from pytest_ipc.kernel.proc import doing

from ..custody.forging import about, forge
from ..subprocesses import Running


@pytest.fixture
def state_dir(monkeypatch, tmp_path):
    """Return the state directory of the runs."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "pytest-ipc"
    path.mkdir(mode=0o700)
    return path


def leave_a_fifo(state_dir: Path, number: int, **details: int) -> Path:
    directory = state_dir.parent / f"pytest-ipc-{number:016x}"
    directory.mkdir()
    os.mkfifo(directory / "fifo")
    forge(
        state_dir,
        '@ "test_it.py::test_dead"',
        about(1, "fifo", path=str(directory / "fifo"), directory=str(directory), **details),
    )
    return directory


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_run_sweeps_first_and_reports_it(pytester, state_dir, how):
    gone, left = leave_a_fifo(state_dir, 1), leave_a_fifo(state_dir, 2, uid=os.geteuid() + 1)
    (state_dir / "1-1.ledger").write_text("garbage\n")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *how)
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if line.startswith("ipc: ")]
    assert lines[0].startswith(f"ipc: removed FIFO {gone}/fifo, made by test_it.py::test_dead in process ")
    assert lines[1].startswith(f"ipc: not removed: FIFO {left}/fifo, made by test_it.py::test_dead in process ")
    assert lines[1].endswith(f": it belongs to user {os.geteuid()}")
    assert lines[2:] == [f"ipc: not removed: {state_dir}/1-1.ledger: its first line is not a valid ledger header"]
    assert (gone.exists(), left.exists()) == (False, True)


def test_unusable_state_directory_is_reported_and_stops_no_run(pytester, state_dir):
    (state_dir / "1-1.ledger").touch()
    state_dir.chmod(0o777)
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"ipc: the state directory is open to others (mode 0o777), *: {state_dir}"])


def test_kernel_without_pidfds_is_reported(pytester, state_dir):
    assert state_dir.is_dir()
    pytester.makeconftest("from pytest_ipc.unpatched import os\ndel os.pidfd_open\n")
    pytester.makepyfile(
        """
        def test_all(sysv_shm, fifo, fork):
            sysv_shm(), fifo()
            assert fork(int).result() == 0
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ipc: pidfd_open(2) is not available *: the reaper polls 20 times a second"])


def test_run_without_objects_prints_no_hint(pytester, state_dir):
    assert state_dir.is_dir()
    pytester.makeconftest("from pytest_ipc.unpatched import os\ndel os.pidfd_open\n")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("ipc: pidfd_open*")


# A worker that dies.

DIES = """
import os, signal
from pathlib import Path


def reapers(owner):
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(bytes(1))
        except OSError:
            continue
        if len(words) > 5 and b"custody.reaper" in words[4] and words[5] == str(owner).encode():
            yield int(entry.parent.name)


def test_before():
    pass


def test_dies(sysv_shm, fifo, fork):
    sysv_shm(12345), fifo(), fork(signal.pause).wait_blocked("pause")
    if os.environ["IPC_FIRST"] == "the controller":
        for reaper in reapers(os.getpid()):
            os.kill(reaper, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def test_after(sysv_shm):
    sysv_shm()
"""
LET_THE_REAPER = """
import os
import pytest
from pytest_ipc.kernel import Deadline
from pytest_ipc.custody.state_dir import state_dir_path


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_testnodedown(node, error):
    if error and os.environ["IPC_FIRST"] == "the reaper":
        assert Deadline(30).until(lambda: [name for name in os.listdir(state_dir_path()) if name.endswith(".swept")])
"""


@pytest.mark.parametrize("first", ["the reaper", "the controller"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_crash_report_names_leftovers(pytester, state_dir, monkeypatch, first, workers):
    monkeypatch.setenv("IPC_FIRST", first)
    pytester.makeconftest(LET_THE_REAPER)
    pytester.makepyfile(DIES)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", workers)
    result.assert_outcomes(passed=2, failed=1)
    assert result.stdout.str().count("leaked, and removed") == 1
    result.stdout.fnmatch_lines(["*crashed while running *::test_dies*", "*- leaked, and removed -*"])
    section = result.stdout.str().partition("leaked, and removed")[2]
    assert f"FIFO {os.path.realpath(os.environ['TMPDIR'])}/pytest-ipc-" in section
    assert "System V segment (key " in section
    assert ", 12345 bytes), made by test_crash_report_names_leftovers.py::test_dies in process " in section
    assert Deadline(30).until(lambda: not [name for name in os.listdir(state_dir) if name.endswith(".ledger")])
    assert os.listdir(state_dir) == []


def test_each_crash_report_names_its_own_leftovers(pytester, state_dir, monkeypatch):
    monkeypatch.setenv("IPC_FIRST", "")
    assert state_dir.is_dir()
    pytester.makepyfile(
        """
        import os, signal
        import pytest

        @pytest.mark.parametrize("size", [1111, 2222, 3333])
        def test_dies(sysv_shm, size):
            sysv_shm(size)
            os.kill(os.getpid(), signal.SIGKILL)

        def test_dies_with_nothing():
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2")
    result.assert_outcomes(failed=4)
    blocks = result.stdout.str().split("crashed while running ")[1:5]
    for block in blocks:
        size = (
            block.partition("[")[2].partition("]")[0]
            if block.startswith("'test_each_crash_report_names_its_own_leftovers.py::test_dies[")
            else ""
        )
        reported = [size for size in ("1111", "2222", "3333") if f", {size} bytes)" in block]
        assert reported == ([size] if size else [])


# SIGTERM.

WAITS = """
import os, signal
import pytest

@pytest.fixture
def resource():
    yield
    with open("torn down", "w"):
        pass

def test_waits(resource, sysv_shm, fork):
    child = fork(signal.pause)
    child.wait_blocked("pause")
    child.signal(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM  # to a child it is what it always is
    with open("note.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename("note.new", "note")
    while True:
        signal.pause()
"""


def stopped(pytester: pytest.Pytester, *how: str) -> tuple[int, str, bool]:
    """Return the exit status of a run that gets SIGTERM in a test, and what it wrote."""
    pytester.makepyfile(WAITS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *how]
    note, log = pytester.path / "note", pytester.path / "log"
    with open(log, "wb") as output, Running(command, stdout=output, stderr=output) as process:
        try:
            assert Deadline(30).until(lambda: note.exists() or process.poll() is not None)
            assert note.exists(), log.read_text()
            # A signal that came just before the test is in pause() would be noted by Python, and pause() wait for the
            # next.
            test = int(note.read_text())
            assert Deadline(30).until(lambda: "in pause" in doing(test)), doing(test)
            process.terminate()
            status = process.wait(timeout=30)
        finally:
            process.kill()
    return status, log.read_text(), (pytester.path / "torn down").exists()


@pytest.mark.parametrize(
    "how",
    [
        [],
        ["-s"],
        ["-p", "no:faulthandler"],
        ["--timeout=60", "--timeout-method=signal"],
        ["--timeout=60", "--timeout-method=thread"],
    ],
    ids=" ".join,
)
def test_sigterm_can_be_an_orderly_stop(pytester, state_dir, how):
    status, text, torn_down = stopped(pytester, "--ipc-sigterm=interrupt", *how)
    assert (status, torn_down) == (pytest.ExitCode.INTERRUPTED, True)
    assert "KeyboardInterrupt" in text
    assert Deadline(30).until(lambda: os.listdir(state_dir) == [])


def test_so_it_is_by_the_ini_file(pytester, state_dir):
    assert state_dir.is_dir()
    pytester.makeini("[pytest]\nipc_sigterm = interrupt\n")
    assert stopped(pytester)[::2] == (pytest.ExitCode.INTERRUPTED, True)


def test_the_option_wins_over_the_ini_file(pytester, state_dir):
    assert state_dir.is_dir()
    pytester.makeini("[pytest]\nipc_sigterm = interrupt\n")
    assert stopped(pytester, "--ipc-sigterm=default")[::2] == (-signal.SIGTERM, False)


def test_by_default_it_ends_the_run_and_the_reaper_clears_up(pytester, state_dir):
    assert stopped(pytester)[::2] == (-signal.SIGTERM, False)
    assert Deadline(30).until(lambda: os.listdir(state_dir) == [])


def test_the_controller_of_workers_stops_in_order_too(pytester, state_dir):
    status, text, _ = stopped(pytester, "--ipc-sigterm=interrupt", "-n", "1")
    assert status == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in text
    assert Deadline(20).until(lambda: os.listdir(state_dir) == [])


@pytest.mark.parametrize("where", ["option", "ini"])
def test_another_value_is_a_usage_error(pytester, where):
    if where == "ini":
        pytester.makeini("[pytest]\nipc_sigterm = perhaps\n")
    result = pytester.runpytest_subprocess(*(["--ipc-sigterm=perhaps"] if where == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sentence = (
        "*invalid choice: 'perhaps'*"
        if where == "option"
        else "*ipc_sigterm must be 'default' or 'interrupt', not 'perhaps'"
    )
    result.stderr.fnmatch_lines([sentence])


def test_the_handler_before_is_put_back(pytester, program):
    path = pytester.makepyfile(
        """
        import signal

        def test_it_is_taken():
            assert signal.getsignal(signal.SIGTERM).__name__ == "_interrupt"
        """
    )
    program(
        """
import signal, sys
import pytest

def handler(*arguments):
    pass

signal.signal(signal.SIGTERM, handler)
for option, status in (("interrupt", 0), ("default", 1)):
    assert pytest.main(["-p", "no:cacheprovider", f"--ipc-sigterm={option}", sys.argv[1]]) == status
    assert signal.getsignal(signal.SIGTERM) is handler
""",
        path,
    )


def test_in_another_thread_it_is_a_usage_error(pytester, program):
    path = pytester.makepyfile("def test_nothing(): pass")
    program(
        """
import sys, threading
import pytest

found = []
thread = threading.Thread(
    target=lambda: found.append(pytest.main(["-p", "no:cacheprovider", "--ipc-sigterm=interrupt", sys.argv[1]]))
)
thread.start()
thread.join()
assert found == [pytest.ExitCode.USAGE_ERROR], found
""",
        path,
    )

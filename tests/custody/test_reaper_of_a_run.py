"""The reaper and the processes of a run: workers, controllers, programs, and runs without objects."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_ipc.custody.sweep import sweep_worker
from pytest_ipc.kernel import Deadline

from ..subprocesses import Running
from .owner import OWNER, Owner, has_ended, is_asleep, reapers
from .test_sweep import exists


def test_program_started_by_a_worker_is_not_a_worker(runtime, monkeypatch):
    """It has the worker's environment, and may outlive the process that started it."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    starter = """
import subprocess, sys
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=0, stdout=1)
print(owner.pid, flush=True)
sys.stdin.readline()
"""
    with Running(
        [sys.executable, "-c", starter, OWNER.format(before="")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        owner, segment = int(first.stdout.readline()), int(first.stdout.readline())
        assert Deadline(30).until(lambda: any(map(is_asleep, reapers(owner))))
        first.kill()
        first.wait()
        (reaper,) = reapers(owner)
        # It has had its chance: had it been waiting for the parent, it would be awake, or through.
        for _ in Deadline(0.3).rounds():
            assert not has_ended(owner)
            assert not has_ended(reaper)
            assert exists(segment)
    assert Deadline(30).until(lambda: has_ended(owner) and has_ended(reaper) and not exists(segment))
    assert os.listdir(runtime / "pytest-ipc") == []


WORKER = """
import os, signal

def test_waits(sysv_shm):
    segment = sysv_shm()
    with open("note.new", "w") as file:
        file.write(f"{os.getpid()} {segment.id}")
    os.rename("note.new", "note")
    while True:
        signal.pause()
"""


def test_a_worker_ends_with_its_controller(pytester, runtime):
    pytester.makepyfile(WORKER)
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider"]
    note, log = pytester.path / "note", pytester.path / "log"
    with open(log, "wb") as output, Running(command, stdout=output, stderr=output) as controller:
        assert Deadline(30).until(lambda: note.exists() or controller.poll() is not None)
        assert note.exists(), log.read_text()
        worker, segment = map(int, note.read_text().split())
        controller.kill()
    assert Deadline(30).until(lambda: has_ended(worker))
    assert Deadline(30).until(lambda: not exists(segment))
    assert Deadline(30).until(lambda: not [name for name in os.listdir(runtime / "pytest-ipc") if "ledger" in name])


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_run_without_objects_has_no_reaper_and_no_state_directory(pytester, runtime, how):
    pytester.makepyfile(
        """
        import os, sys
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_plain(number, tmp_path):
            assert "pytest_ipc.custody.reaper" not in sys.modules

        def test_signals_and_pipes(signals, pipe):
            signals.ignore(10)
            pipe()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *how).assert_outcomes(passed=5)
    assert os.listdir(runtime) == []


OF_A_RUN = """
from pytest_ipc import custody
custody.controller = {controller}
os.environ["PYTEST_XDIST_WORKER"], os.environ["PYTEST_XDIST_TESTRUNUID"] = "gw0", "run"
"""


@pytest.mark.parametrize("comes", [True, False], ids=["the controller comes for it", "the controller dies too"])
def test_result_file_for_the_controller_is_removed(runtime, comes):
    controller = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    worker = Owner(OF_A_RUN.format(controller=controller.pid))
    worker.process.kill()
    worker.process.communicate()
    state_dir = runtime / "pytest-ipc"
    assert Deadline(30).until(lambda: [name for name in os.listdir(state_dir) if name.endswith(".swept")] != [])
    assert not has_ended(worker.reaper)
    if comes:
        done = sweep_worker("run", "gw0")
        assert len(done.removed) == 1
        assert "System V segment" in done.removed[0]
        assert worker.is_cleared()
    controller.kill()
    controller.wait()
    assert worker.is_cleared()
    assert os.listdir(state_dir) == []

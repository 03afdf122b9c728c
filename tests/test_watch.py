"""What the plugin does about custody in a run: the sweep at its start, a dead worker's leavings, SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc import shmctl_stat

from .custody.forging import about_segment, dead_process, forge


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$XDG_RUNTIME_DIR of the runs that a test starts."""
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


def test_what_the_sweep_at_the_start_found_is_in_the_header(pytester, runtime, sysv_shm):
    """A dead run's ledger claims a segment that somebody else made: it is left, and named."""
    home = runtime / "pytest-ipc"
    home.mkdir(mode=0o700)
    mine = sysv_shm(4096)
    forge(home, about_segment(key=mine.key, size=4096), process=dead_process())
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ipc: left System V segment*its creating process is*"])
    assert mine.exists()


def test_a_home_that_cannot_be_trusted_is_told_and_stops_nothing_else(pytester, runtime):
    home = runtime / "pytest-ipc"
    home.mkdir(mode=0o700)
    (home / "1-1.ledger").touch()
    home.chmod(0o777)
    pytester.makepyfile("def test_it(): pass\ndef test_ipc(sysv_shm): sysv_shm()")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["ipc: *is open to others*"])


@pytest.mark.usefixtures("runtime")
def test_a_dead_workers_crash_names_what_it_left(pytester):
    pytester.makepyfile(
        """
        import os, signal
        from pathlib import Path

        def test_dies(sysv_shm, fifo):
            segment, path = sysv_shm(12321), fifo().path
            Path("made").write_text(f"{segment.id} {path}")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "1", "--max-worker-restart=0")
    id, path = (pytester.path / "made").read_text().split()
    result.stdout.fnmatch_lines(
        ["*crashed while running*test_dies*", "*left behind*", "*System V segment*12321 bytes*test_dies*"]
    )
    assert path in result.stdout.str()
    assert not os.path.exists(path)
    with pytest.raises(OSError, match="shmctl"):
        shmctl_stat(int(id))


SLEEPER = """
import os, pytest, signal
from pathlib import Path

@pytest.fixture
def made(sysv_shm):
    yield sysv_shm()
    Path("torn down").touch()

def test_waits(made):
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("configuration", "arguments", "status"),
    [
        ("", ["--ipc-sigterm=interrupt"], int(pytest.ExitCode.INTERRUPTED)),
        ("[pytest]\nipc_sigterm = interrupt\n", [], int(pytest.ExitCode.INTERRUPTED)),
        ("", [], -signal.SIGTERM),
    ],
    ids=["option", "ini", "default"],
)
def test_sigterm(pytester, configuration, arguments, status):
    """With the option the fixtures are torn down; without it the process ends as SIGTERM has it, and the reaper clears up."""
    pytester.makepyfile(SLEEPER)
    (pytester.path / "pytest.ini").write_text(configuration or "[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *arguments]
    with subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert any("ready" in line for line in run.stdout)
        run.terminate()
        run.communicate(timeout=30)
    assert run.returncode == status
    assert (pytester.path / "torn down").exists() == (status != -signal.SIGTERM)


@pytest.mark.usefixtures("runtime")
def test_a_wrong_setting_is_a_usage_error(pytester):
    pytester.makeini("[pytest]\nipc_sigterm = perhaps\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ipc_sigterm*perhaps*"])

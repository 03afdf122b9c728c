"""The bundle: it runs without installation, gives the verdict of an installation, and leaks nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.runner import build_bundle


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python without any package, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """Return the temporary directory of the command, accessible for other users."""
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(temp):
    run = temp.parent / "run"
    run.mkdir(mode=0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    return kept | {"TMPDIR": str(temp), "XDG_RUNTIME_DIR": str(run)}


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_bundle_runs_without_installation(pyz, bare, temp, environment, options):
    report = temp.parent / "report.json"
    done = subprocess.run(
        [bare, pyz, "check", "shmdt.*", *options, "--report", report],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment,
        cwd=temp.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["broken"] == []
    assert {clause["verdict"] for clause in found["clauses"]} == {"holds"}
    assert [path.name for path in temp.iterdir() if "bundle" in path.name] == []


def test_packages_are_imported_from_the_bundle(pyz, bare, temp, environment):
    source = "import hypothesis, pytest, pytest_ipc; print(*(m.__file__ for m in (hypothesis, pytest, pytest_ipc)))"
    with guarded(pyz, bare, environment, source) as done:
        printed = done.communicate(timeout=60)[0].split()
    assert done.returncode == 0
    assert len(printed) == 3
    assert all(path.startswith(f"{temp}/pytest-ipc-bundle-") for path in printed)


def test_directory_is_writable_only_for_its_user(pyz, bare, environment):
    source = (
        "import os, pytest_ipc; os.chdir(os.path.dirname(os.path.dirname(pytest_ipc.__file__)));"
        "print(*{os.stat(os.path.join(top, n)).st_mode & 0o022 "
        "for top, ds, fs in os.walk('.') for n in [*ds, *fs, '.']},"
        "oct(os.stat('.').st_mode & 0o777), os.stat('.').st_uid == os.getuid())"
    )
    with guarded(pyz, bare, environment | {"PYTHONDONTWRITEBYTECODE": "1"}, source, umask=0) as done:
        assert done.communicate(timeout=60)[0] == "0 0o711 True\n"


# Starts the given command in place of pytest_ipc's.
GUARD = """
import sys
sys.path.insert(0, sys.argv[1])
from pytest_ipc_unpack import run
with open(sys.argv[1], "rb") as archive:
    status = run(archive, ["-c", sys.argv[2]], {})
sys.exit(status)
"""


# Signals that the test runner ignores, as under nohup, would be ignored by the command too.
TOLD = """
import signal
for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signo, signal.SIG_DFL)
"""


@contextmanager
def guarded(
    pyz: Path, bare: Path, environment: dict[str, str], source: str, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a Python as a bundle starts its own; end it and its command with the block."""
    running = subprocess.Popen(
        [bare, "-c", GUARD, pyz, TOLD + source],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
        **options,
    )
    with ended(running):
        yield running


@contextmanager
def ended(running: subprocess.Popen[Any]) -> Iterator[None]:
    """End the process and its process group with the block, which would wait for them otherwise."""
    with running:
        try:
            yield
        finally:
            if running.poll() is None:
                with suppress(ProcessLookupError):  # it may not lead one yet
                    os.killpg(running.pid, signal.SIGKILL)
                running.kill()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_the_command_and_removes_the_directory(pyz, bare, temp, environment, signo):
    source = "print('ready', flush=True); signal.pause()"
    with guarded(pyz, bare, environment, source) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        assert len(list(temp.iterdir())) == 1
        running.send_signal(signo)
        assert running.wait(30) == 128 + signo
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "status"), [("os._exit(7)", 7), ("os.abort()", 134), ("os.kill(os.getpid(), 9)", 137)]
)
def test_directory_is_removed_however_the_command_ends(pyz, bare, temp, environment, ending, status):
    source = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); {ending}"
    with guarded(pyz, bare, environment, source) as running:
        running.communicate(timeout=60)
    assert running.returncode == status
    assert list(temp.iterdir()) == []


def test_ctrl_c_reaches_the_command_once(pyz, bare, temp, environment):
    """The terminal signals the whole foreground group; the parent must not signal the command a second time."""
    # Blocked signals are taken in a fixed order: the parent forwards SIGINT first.
    source = (
        "import signal, os\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})\n"
        "print('ready', flush=True)\n"
        "signal.sigwait({signal.SIGINT})\n"
        "print('printed', flush=True)\n"
        "times = 1\n"
        "while signal.sigwait({signal.SIGINT, signal.SIGTERM}) == signal.SIGINT: times += 1\n"
        "os._exit(times)\n"
    )
    login = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    if not hasattr(os, "login_tty"):  # in another module on Python 3.11
        login = "import fcntl, termios; " + login.replace(
            "os.login_tty(int(sys.argv[1]))",
            "os.setsid(); fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); "
            "[os.dup2(int(sys.argv[1]), n) for n in range(3)]",
        )
    master, slave = os.openpty()
    command = [sys.executable, "-c", login, str(slave), bare, "-c", GUARD, pyz, source]
    running = subprocess.Popen(command, pass_fds=(slave,), env=environment)
    with open(master, "r+b", buffering=0) as screen, ended(running):
        os.close(slave)
        lines = io.BufferedReader(screen)
        assert lines.readline() == b"ready\r\n"
        # Stopped, so that its forwarded signal cannot merge with the terminal's before the command has taken that.
        running.send_signal(signal.SIGSTOP)
        screen.write(b"\x03")
        assert lines.readline().endswith(b"printed\r\n")
        running.send_signal(signal.SIGCONT)
        running.terminate()
        assert running.wait(30) == 1
    assert list(temp.iterdir()) == []


def test_bundle_is_reproducible(pyz):
    assert build_bundle.make() == pyz.read_bytes()


def test_bundle_rebuilds_itself(pyz, bare, environment, tmp_path):
    done = subprocess.run(
        [bare, pyz, "bundle", "-o", tmp_path / "again.pyz"],
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()
    assert os.access(tmp_path / "again.pyz", os.X_OK)


def test_bundle_contains_pure_python_and_all_licences(pyz):
    names = zipfile.ZipFile(pyz).namelist()
    assert not [name for name in names if name.endswith((".so", ".pyc", ".pth"))]
    assert {"site/pytest_ipc_conformance/shm/test_shmget.py", "site/pytest_ipc/cli.py", "site/xdist/plugin.py"} <= set(
        names
    )
    for package in ("pytest", "execnet", "hypothesis", "rich", "pluggy"):
        assert any(name.startswith(f"site/{package}-") and "LICENSE" in name.upper() for name in names), package


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("sys.version_info = (3, 10, 4)", "pytest-ipc: Python must be 3.11 or later, not 3."),
        ("sys.modules['ctypes'] = None", "pytest-ipc: this Python has no module ctypes"),
    ],
)
def test_unsuitable_python_is_reported(pyz, before, sentence):
    source = f"import sys, runpy; {before}; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", source, pyz], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("processes", ["0", "1"])
@pytest.mark.parametrize("how", ["bundle", "installed"])
def test_python_that_does_not_know_its_executable_finds_it(pyz, how, processes):
    """Started by a bare name, in an environment without PATH; the clause starts a program."""
    arguments = [str(pyz)] if how == "bundle" else ["-m", "pytest_ipc"]
    environment = {} if how == "bundle" else {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = os.path.realpath(sys.executable)
    asked = subprocess.run(
        ["python3", "-c", "import sys; print(sys.executable)"],
        executable=program,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    done = subprocess.run(
        ["python3", *arguments, "check", "-n", processes, "eventfd.exec-preserved"],
        executable=program,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert asked.stdout == "\n"
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_ipc", "bundle", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | environment,
    )


def test_failed_download_is_reported_and_overwrites_nothing(tmp_path):
    target = tmp_path / "it.pyz"
    target.write_text("old")
    done = command("-o", target, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    if done.returncode == 0:
        pytest.skip("everything is pure Python here")
    assert done.returncode == 2
    assert "pip cannot download it" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["it.pyz"]
    assert target.read_text() == "old"


def test_without_pip_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(build_bundle, "find_spec", lambda _name: None)
    monkeypatch.setattr(build_bundle, "_installed", lambda _name: None)
    with pytest.raises(CommandError, match=r"hypothesis, pytest, .*: not installed as pure Python, and .* no pip"):
        build_bundle.make()


@pytest.mark.parametrize("target", ["/no/such/folder/it.pyz", "/"])
def test_unwritable_target_is_reported(target, pyz):
    done = command("-o", target, PYTEST_IPC_BUNDLE=str(pyz))
    assert done.returncode == 2
    assert done.stderr.startswith(f"pytest-ipc: the bundle cannot be written to {target}: ")

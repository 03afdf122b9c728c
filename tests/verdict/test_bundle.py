"""The bundle: it runs with nothing installed, gives the verdict that an installation gives, and leaves nothing behind."""

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

from pytest_ipc.verdict.runner import build_bundle


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in which nothing is installed, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """The temp folder of what is run, where others can name what lies in it."""
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
def test_it_runs_where_nothing_is_installed(pyz, bare, temp, environment, options):
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


def test_the_packages_are_those_of_the_bundle(pyz, bare, temp, environment):
    source = "import hypothesis, pytest, pytest_ipc; print(*(m.__file__ for m in (hypothesis, pytest, pytest_ipc)))"
    with guarded(pyz, bare, environment, source) as done:
        told = done.communicate(timeout=60)[0].split()
    assert done.returncode == 0
    assert len(told) == 3
    assert all(path.startswith(f"{temp}/pytest-ipc-bundle-") for path in told)


def test_nobody_else_may_write_there(pyz, bare, environment):
    source = (
        "import os, pytest_ipc; os.chdir(os.path.dirname(os.path.dirname(pytest_ipc.__file__)));"
        "print(*{os.stat(os.path.join(top, n)).st_mode & 0o022 for top, ds, fs in os.walk('.') for n in [*ds, *fs, '.']},"
        "oct(os.stat('.').st_mode & 0o777), os.stat('.').st_uid == os.getuid())"
    )
    with guarded(pyz, bare, environment | {"PYTHONDONTWRITEBYTECODE": "1"}, source, umask=0) as done:
        assert done.communicate(timeout=60)[0] == "0 0o711 True\n"


# Starts the command that is given in place of pytest_ipc's.
GUARD = """
import sys
sys.path.insert(0, sys.argv[1])
from pytest_ipc_unpack import run
with open(sys.argv[1], "rb") as archive:
    status = run(archive, ["-c", sys.argv[2]], {})
sys.exit(status)
"""


# What a runner has set to be ignored, as nohup does with SIGHUP, would be so for the command too, and never end it.
TOLD = """
import signal
for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signo, signal.SIG_DFL)
"""


@contextmanager
def guarded(
    pyz: Path, bare: Path, environment: dict[str, str], source: str, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A Python started as a bundle starts its own; ended with the block, and its command with it."""
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
    """At the end of the block it is gone, with the process group that it leads: else leaving the block would wait for it."""
    with running:
        try:
            yield
        finally:
            if running.poll() is None:
                with suppress(ProcessLookupError):  # it has not come so far as to lead one
                    os.killpg(running.pid, signal.SIGKILL)
                running.kill()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_ends_it_ends_the_command_and_the_folder(pyz, bare, temp, environment, signo):
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
def test_however_the_command_ends_the_folder_goes(pyz, bare, temp, environment, ending, status):
    source = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); {ending}"
    with guarded(pyz, bare, environment, source) as running:
        running.communicate(timeout=60)
    assert running.returncode == status
    assert list(temp.iterdir()) == []


def test_ctrl_c_reaches_the_command_once(pyz, bare, temp, environment):
    """The terminal tells the whole foreground group; the guardian must not tell the command a second time."""
    # Waited for while they are blocked, signals cannot come between two lines; and of two, the guardian passes SIGINT on first.
    source = (
        "import signal, os\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})\n"
        "print('ready', flush=True)\n"
        "signal.sigwait({signal.SIGINT})\n"
        "print('told', flush=True)\n"
        "times = 1\n"
        "while signal.sigwait({signal.SIGINT, signal.SIGTERM}) == signal.SIGINT: times += 1\n"
        "os._exit(times)\n"
    )
    login = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    if not hasattr(os, "login_tty"):  # Python 3.11 has it as another module's
        login = "import fcntl, termios; " + login.replace(
            "os.login_tty(int(sys.argv[1]))",
            "os.setsid(); fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); [os.dup2(int(sys.argv[1]), n) for n in range(3)]",
        )
    master, slave = os.openpty()
    command = [sys.executable, "-c", login, str(slave), bare, "-c", GUARD, pyz, source]
    running = subprocess.Popen(command, pass_fds=(slave,), env=environment)
    with open(master, "r+b", buffering=0) as screen, ended(running):
        os.close(slave)
        lines = io.BufferedReader(screen)
        assert lines.readline() == b"ready\r\n"
        # Stopped meanwhile: what it would pass on must not come before the command has taken the terminal's, and be one with it.
        running.send_signal(signal.SIGSTOP)
        screen.write(b"\x03")
        assert lines.readline().endswith(b"told\r\n")
        running.send_signal(signal.SIGCONT)
        running.terminate()
        assert running.wait(30) == 1
    assert list(temp.iterdir()) == []


def test_the_same_packages_make_the_same_file(pyz):
    assert build_bundle.make() == pyz.read_bytes()


def test_a_bundle_makes_itself_again(pyz, bare, environment, tmp_path):
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


def test_it_holds_pure_python_and_every_licence(pyz):
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
        ("sys.version_info = (3, 10, 4)", "pytest-ipc: needs Python 3.11 or later, and this is 3."),
        ("sys.modules['ctypes'] = None", "pytest-ipc: this Python has no module ctypes"),
    ],
)
def test_a_python_that_will_not_do_is_told(pyz, before, sentence):
    source = f"import sys, runpy; {before}; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", source, pyz], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("processes", ["0", "1"])
@pytest.mark.parametrize("how", ["bundle", "installed"])
def test_python_that_does_not_know_its_program_finds_it(pyz, how, processes):
    """It was started by a bare name, in an environment without PATH; the clause starts a program."""
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
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_ipc", "bundle", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | environment,
    )


def test_what_cannot_be_fetched_is_told_and_nothing_overwritten(tmp_path):
    target = tmp_path / "it.pyz"
    target.write_text("old")
    done = command("-o", target, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    if done.returncode == 0:
        pytest.skip("everything is pure Python here")
    assert done.returncode == 2
    assert "pip cannot fetch it" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["it.pyz"]
    assert target.read_text() == "old"


def test_without_pip_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(build_bundle, "find_spec", lambda _name: None)
    monkeypatch.setattr(build_bundle, "_installed", lambda _name: None)
    with pytest.raises(
        build_bundle.BundleError, match=r"hypothesis, pytest, .*: not here as pure Python, and .* no pip"
    ):
        build_bundle.make()


@pytest.mark.parametrize("target", ["/no/such/folder/it.pyz", "/"])
def test_a_place_that_cannot_be_written(target, pyz):
    done = command("-o", target, PYTEST_IPC_BUNDLE=str(pyz))
    assert done.returncode == 2
    assert done.stderr.startswith(f"pytest-ipc: the bundle cannot be written to {target}: ")

"""--ipc-isolate: the run is in a new IPC namespace, and no object of it outlives the last process there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import trial
from pytest_ipc.custody.namespaces import ipc_namespace as current_namespace
from pytest_ipc.kernel import CLONE_NEWIPC, CLONE_NEWUSER, Deadline, capget, map_user, process_state, unshare
from pytest_ipc.plugin.isolation_exec import move

TESTS = """
    import os
    from pathlib import Path
    from pytest_ipc import scope
    from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, Deadline, capget, sysvipc_shm

    HERE = Path(__file__).parent

    def meet(name):
        # Both are there at once, so that a key is taken twice or not at all.
        (HERE / name).touch()
        others = HERE / {"one": "two", "two": "one"}[name]
        assert "PYTEST_XDIST_WORKER" not in os.environ or Deadline(30).until(others.exists)

    def note(name):
        namespace = os.readlink("/proc/self/ns/ipc")
        (HERE / f"{name}.note").write_text(f"{namespace} {os.getuid()} {capget().effective:x}")

    def test_one(sysv_shm):
        sysv_shm(key=0x4711)
        meet("one")
        note("one")

    def test_two(sysv_shm, fork):
        sysv_shm(key=0x4711)
        meet("two")
        note("two")
        assert fork(os.readlink, "/proc/self/ns/ipc").result() == os.readlink("/proc/self/ns/ipc")
        # # The reaper is in the namespace too; otherwise it could not reach leftovers there.
        assert Deadline(30).until(lambda: any(map(is_a_reaper_in_here, filter(str.isdigit, os.listdir("/proc")))))

    def is_a_reaper_in_here(pid):
        return namespace(pid) == namespace("self") and "custody.reaper" in command(pid)

    def command(pid):
        try:
            return Path("/proc", pid, "cmdline").read_text()
        except OSError:
            return ""

    def namespace(pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/ipc")
        except OSError:
            return ""
"""


@pytest.fixture(autouse=True)
def may_move(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Skip unless namespaces can be made; give each test its own state directory."""
    if (refusal := trial(move)) is not None:
        pytest.skip(f"no IPC namespace can be made here: {refusal}")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))


def ordinary() -> None:
    """Become a user without capabilities, who owns the same files, between fork and exec."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    map_user(1000, 1000, uid, gid)


def without_namespaces() -> None:
    """Between fork and exec: be where no IPC namespace may be made."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    map_user(0, 0, uid, gid)
    Path("/proc/sys/user/max_ipc_namespaces").write_text("0")


def run(pytester: Any, *arguments: str, preexec: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=pytester.path,
        preexec_fn=preexec,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )


def notes(pytester: Any) -> list[list[str]]:
    return [(pytester.path / f"{name}.note").read_text().split() for name in ("one", "two")]


@pytest.mark.parametrize("who", ["as it is", "ordinary"])
@pytest.mark.parametrize("how", [[], ["-n", "2"], ["-n", "0"]], ids=" ".join)
def test_process_that_runs_tests_is_in_its_own_namespace(pytester, who, how):
    if who == "ordinary" and (refusal := trial(ordinary)) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")
    pytester.makepyfile(TESTS)
    ran = run(pytester, "--ipc-isolate", *how, preexec=ordinary if who == "ordinary" else None)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    whom = "each worker is" if "2" in how else "this run is"
    assert f"ipc: {whom} in its own IPC namespace" in ran.stdout
    one, two = notes(pytester)
    assert current_namespace() not in (one[0], two[0])
    assert (one[0] == two[0]) == ("2" not in how)
    # No process has more privileges than before.
    wanted = ["1000", "0"] if who == "ordinary" else [str(os.getuid()), f"{capget().effective:x}"]
    assert [one[1:], two[1:]] == [wanted] * 2


def test_the_configuration_may_ask_for_it(pytester):
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nipc_isolate = true\n")
    assert run(pytester).returncode == 0
    assert notes(pytester)[0][0] != current_namespace()


def test_without_the_option_nothing_moves(pytester):
    pytester.makepyfile(TESTS)
    ran = run(pytester)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [note[0] for note in notes(pytester)] == [current_namespace()] * 2
    assert "namespace" not in ran.stdout


@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=" ".join)
def test_where_it_cannot_be_it_is_a_usage_error_with_the_way_out(pytester, how):
    if trial(without_namespaces) is not None:
        pytest.skip("no user namespace can be made here, to try it in")
    pytester.makepyfile(TESTS)
    ran = run(pytester, "--ipc-isolate", *how, preexec=without_namespaces)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in ran.stderr.splitlines() if line]
    assert line.startswith("ERROR: --ipc-isolate: a new IPC namespace needs CAP_SYS_ADMIN, or user namespaces")
    assert "`unshare -Uri pytest …` runs all of pytest in one" in line


THREADS = """
import threading
import pytest

stop = threading.Event()

def start():
    threading.Thread(target=stop.wait, daemon=True).start()
"""


def as_an_ordinary_user(pytester: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    if (refusal := trial(ordinary)) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")
    return run(pytester, "--ipc-isolate", *arguments, preexec=ordinary)


@pytest.mark.parametrize("when", ["import of a conftest.py", "pytest_configure"])
def test_the_run_moves_before_other_plugins_start_threads(pytester, when):
    pytester.makepyfile(TESTS)
    pytester.makeconftest(
        THREADS
        + ("start()" if when != "pytest_configure" else "")
        + "\n@pytest.hookimpl(tryfirst=True)\ndef pytest_configure(): start()\n"
    )
    ran = as_an_ordinary_user(pytester)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert notes(pytester)[0][0] != current_namespace()


def test_the_ini_file_moves_it_as_early(pytester):
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nipc_isolate = true\n")
    pytester.makeconftest(THREADS + "start()")
    assert as_an_ordinary_user(pytester).returncode == 0
    assert notes(pytester)[0][0] != current_namespace()


def test_threads_that_are_there_already_are_named_as_the_cause(pytester, monkeypatch):
    pytester.makepyfile(TESTS, starts=THREADS + "start()\nstart()\n")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    ran = as_an_ordinary_user(pytester, "-p", "starts")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in ran.stderr.splitlines() if line]
    assert line.startswith(
        "ERROR: --ipc-isolate: without CAP_SYS_ADMIN a process enters an IPC namespace together with a user"
    )
    assert "single-threaded; this one has 3 threads, because another plugin starts threads at import" in line
    assert "`unshare -Uri pytest …`" in line


def test_the_sweep_comes_before_the_run_moves_and_is_reported(pytester):
    """Also where the plugin is loaded by a conftest.py, when it is too late to move early."""
    pytester.makepyfile(DIES)
    assert run(pytester).returncode == -signal.SIGKILL
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeconftest("pytest_plugins = ['pytest_ipc.plugin.hooks']")
    ran = run(pytester, "-p", "no:ipc", "-o", "ipc_isolate=true", "-k", "nothing")
    assert ran.stdout.count("ipc: removed System V segment") == 2, ran.stdout
    assert "ipc: this run is in its own IPC namespace" in ran.stdout


def test_a_worker_that_cannot_says_so(pytester):
    """As on another machine, to which a controller that may has sent it."""
    if trial(lambda: unshare(CLONE_NEWIPC)) is not None:
        pytest.skip("needs CAP_SYS_ADMIN: a worker of an unprivileged user is started in a namespace")
    pytester.makepyfile(TESTS)
    pytester.makeconftest(
        """
        import os
        import pytest_ipc.plugin.isolation_exec

        if "PYTEST_XDIST_WORKER" in os.environ:
            def refuse(_flags):
                raise PermissionError(1, "Operation not permitted")
            pytest_ipc.plugin.isolation_exec.unshare = refuse
        """
    )
    ran = run(pytester, "--ipc-isolate", "-n", "1")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert "Operation not permitted in a worker" in ran.stdout
    assert "INTERNALERROR" not in ran.stdout


def test_a_caller_of_pytest_is_back_where_it_was(pytester, program):
    if trial(lambda: unshare(CLONE_NEWIPC)) is not None:
        pytest.skip("needs CAP_SYS_ADMIN: out of a user namespace there is no way back")
    path = pytester.makepyfile(TESTS)
    program(
        "import os, sys, pytest\n"
        "before = os.readlink('/proc/self/ns/ipc')\n"
        "assert pytest.main(['-q', '-p', 'no:cacheprovider', '--ipc-isolate', sys.argv[1]]) == 0\n"
        "assert os.readlink('/proc/self/ns/ipc') == before\n",
        path,
    )
    assert notes(pytester)[0][0] != current_namespace()


DIES = """
    import os, signal
    from pathlib import Path
    from pytest_ipc.kernel import Deadline

    def reaper():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                arguments = Path("/proc", pid, "cmdline").read_bytes().split(bytes(1))
            except OSError:
                continue
            if b"custody.reaper" in b" ".join(arguments) and b"%d" % os.getpid() in arguments:
                return int(pid)

    def test_dies(sysv_shm, fork):
        sysv_shm(), sysv_shm(key=0)
        assert Deadline(30).until(lambda: reaper() is not None)  # it begins as a copy of this process
        os.kill(reaper(), signal.SIGKILL)
        Path("namespace").write_text(os.readlink("/proc/self/ns/ipc"))
        os.kill(os.getpid(), signal.SIGKILL)
"""


# pytest-ipc, without the places that other runs on this machine use.
HERE_ALONE = """
import sys
from pytest_ipc.custody import state_paths
from pytest_ipc.cli import main

state_paths.SHARED, state_paths.RUNTIME = (), ()
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=" ".join)
def test_run_killed_with_its_reaper_leaks_nothing(pytester, how):
    pytester.makepyfile(DIES)
    ran = run(pytester, "--ipc-isolate", *how)
    assert ran.returncode == (1 if how else -signal.SIGKILL), ran.stdout
    name = (pytester.path / "namespace").read_text()

    def is_gone() -> bool:
        return not any(where == name for where in map(namespace_of, filter(str.isdigit, os.listdir("/proc"))))

    assert Deadline(30).until(is_gone)
    for command, line in (("sweep", "nothing was leaked"), ("status", "no objects are owned")):
        reported = subprocess.run(
            [sys.executable, "-c", HERE_ALONE, command], capture_output=True, text=True, check=True, timeout=60
        )
        assert reported.stdout.splitlines()[-1].startswith(line)
    assert not list(Path(os.environ["XDG_RUNTIME_DIR"]).glob("pytest-ipc/*"))


def namespace_of(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/ipc")
    except OSError:
        return ""


def test_leftovers_are_swept_before_the_run_moves(pytester):
    """From within, an unprivileged user could not reach the leftovers outside."""
    pytester.makepyfile(DIES)
    assert run(pytester).returncode == -signal.SIGKILL
    pytester.makepyfile("def test_nothing(): pass")
    ran = run(pytester, "--ipc-isolate", "-k", "nothing")
    assert ran.stdout.count("ipc: removed System V segment") == 2, ran.stdout


def test_option_is_in_the_help(pytester):
    ran = run(pytester, "--help")
    assert "--ipc-isolate" in ran.stdout
    assert "ipc_isolate (bool):" in ran.stdout


CRASHES = """
    import os, signal
    from pathlib import Path
    from pytest_ipc.kernel import CLONE_NEWIPC, unshare

    HERE = Path(__file__).parent

    def start_daemon():
        if os.fork() == 0:
            os.setsid()
            (HERE / "daemon").write_text(str(os.getpid()))
            while True:
                signal.pause()

    def test_crash(sysv_shm, fifo, fork, ipc_namespace):
        sysv_shm()
        (HERE / "fifo").write_text(str(fifo().path))
        daemon = fork(lambda: (start_daemon(), signal.pause()))
        daemon.wait_blocked("pause")
        (HERE / "child").write_text(str(daemon.pid))
        # Children in another namespace, with their own objects.
        inner = ipc_namespace(shmmni=3)
        inner.fork(lambda: (sysv_shm(), signal.pause())).wait_blocked("pause")
        (HERE / "namespace").write_text(os.readlink("/proc/self/ns/ipc"))
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("who", ["as it is", "ordinary"])
@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=" ".join)
def test_a_run_that_was_killed_is_cleared_up_by_its_reaper(pytester, who, how):
    """The reaper is in the IPC and user namespace of its owner, so it reaches files and processes."""
    if who == "ordinary" and (refusal := trial(ordinary)) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")
    pytester.makepyfile(CRASHES)
    ran = run(pytester, "--ipc-isolate", *how, preexec=ordinary if who == "ordinary" else None)
    assert ran.returncode == (1 if how else -signal.SIGKILL), ran.stdout
    fifo, child, daemon = ((pytester.path / name).read_text() for name in ("fifo", "child", "daemon"))
    home = Path(os.environ["XDG_RUNTIME_DIR"])

    def left() -> list[str]:
        processes = [pid for pid in (child, daemon) if (found := process_state(int(pid))) and found.state not in "ZX"]
        return [*processes, *filter(os.path.lexists, [fifo]), *map(str, home.glob("pytest-ipc/*"))]

    assert Deadline(30).until(lambda: left() == []), left()
    if how:
        assert "leaked, and removed" in ran.stdout
        assert "FIFO" in ran.stdout.partition("leaked, and removed")[2]

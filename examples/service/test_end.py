"""How the service ends, what remains of it, and how the next one starts."""

from __future__ import annotations

import os
import signal
import sys

import pytest

import pytest_ipc
from conftest import SERVICE, Countd

EVERYTHING = ["pid", "control", "memory", "queue"]


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_in_an_orderly_way(countd, signo):
    program = countd.start()
    program.signal(signo)
    assert program.wait() == 0
    assert program.stdout.endswith("stopped hits=0 errors=0\n")
    assert countd.leftovers() == []


def test_stop_command_ends_it_in_an_orderly_way(countd):
    program = countd.start()
    countd.command("stop\n")
    assert program.wait() == 0
    assert countd.leftovers() == []


def test_messages_before_the_end_are_counted(countd):
    program = countd.start()
    queue = countd.queue()
    program.signal(signal.SIGSTOP)
    program.wait_state("T")
    for _ in range(3):
        queue.send(b"hits 2")
    program.signal(signal.SIGTERM)
    program.signal(signal.SIGCONT)
    assert program.wait() == 0
    assert "stopped hits=6 " in program.stdout


def test_second_service_does_not_start(countd):
    first = countd.start()
    second = countd.launch()
    assert second.wait() == 1
    assert second.stderr == f"countd: the service already runs as process {first.pid}\n"
    assert first.alive
    assert countd.leftovers() == EVERYTHING
    assert countd.pid_file.read_text() == f"{first.pid}\n"


@pytest.mark.parametrize("content", ["", "no number\n", "4194304\n", "own"], ids=["empty", "text", "dead", "alive"])
def test_stale_pid_file_is_taken_over(countd, content):
    """Also one with the id of a living process, which is another one by now."""
    countd.pid_file.write_text(f"{os.getpid()}\n" if content == "own" else content)
    program = countd.start()
    assert countd.pid_file.read_text() == f"{program.pid}\n"
    assert program.terminate() == 0
    assert countd.leftovers() == []


def test_service_restarts_after_an_orderly_end(countd):
    for _ in range(3):
        program = countd.start()
        assert program.terminate() == 0
        assert countd.leftovers() == []


def test_service_restarts_after_a_kill(countd):
    killed = countd.start()
    counters = countd.counters()
    countd.queue().send(b"hits 5")
    killed.wait_for(lambda: counters[1] == 5)
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert countd.leftovers() == EVERYTHING

    program = countd.start()
    assert countd.counters()[1] == 0
    assert program.terminate() == 0
    assert countd.leftovers() == []


def test_removed_files_do_not_disturb_the_end(countd):
    program = countd.start()
    countd.fifo.unlink()
    countd.pid_file.unlink()
    assert program.terminate() == 0
    assert countd.leftovers() == []


@pytest.mark.parametrize("fault", ["configuration", "directory", "name"])
def test_failed_start_leaves_nothing(countd, fault):
    if fault == "configuration":
        countd.config.unlink()
    elif fault == "directory":  # the FIFO comes last: a directory is in its place
        countd.fifo.mkdir()
    argv = countd.argv
    if fault == "name":
        argv[2] = "/no/name"
    program = countd.ipc.spawn(argv)
    assert program.wait() == 1
    assert program.stderr.startswith("countd: ")
    if fault == "directory":
        countd.fifo.rmdir()
    assert countd.leftovers() == []


def test_missing_argument_is_a_usage_error(countd):
    program = countd.ipc.spawn(countd.argv[:-1])
    assert (program.wait(), program.stderr) == (2, "usage: countd NAME DIRECTORY CONFIG\n")


def test_reservations_remove_what_a_killed_service_leaves():
    """Here in a scope of the test, which ends before the test."""
    with pytest_ipc.scope() as inner:
        countd = Countd.reserved(inner, "hits")
        killed = countd.start(may_fail=True)
        killed.signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        assert countd.leftovers() == EVERYTHING
        name, directory = countd.name, countd.directory
    assert not directory.exists()
    with pytest_ipc.scope() as inner:
        assert Countd(inner, name, directory, directory).leftovers() == []


UNRESERVED = """
import os, signal
def test_service(ipc):
    service = ipc.spawn({argv!r})
    service.wait_for_output("^ready")
    os.kill(service.pid, {signo})
    {ending}
"""


@pytest.fixture
def run(ipc_namespace, pytester):
    """Run a test that reserves nothing, in a pytest in its own namespaces: what is leaked there ends with them."""
    ipc_namespace()  # skips the test where they are not permitted
    config = pytester.path / "counters"
    config.write_text("hits")
    argv = [sys.executable, str(SERVICE), "/countd-unreserved", str(pytester.path), str(config)]

    def run(signo: int, ending: str, leaks: str) -> pytest.RunResult:
        pytester.makepyfile(UNRESERVED.format(argv=argv, signo=int(signo), ending=ending))
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--ipc-isolate", f"--ipc-leaks={leaks}")

    return run


def test_leaks_of_a_killed_service_are_named(run):
    result = run(signal.SIGKILL, "service.wait()", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test leaks *"])
    result.stdout.fnmatch_lines_random(
        [
            "posix-shm: 1 in 1 test",
            "posix-mq: 1 in 1 test",
            "*countd-unreserved*",
            "perhaps files: 1 in 1 test",
            "*FIFO */control*",
        ]
    )


def test_orderly_end_leaks_nothing(run):
    result = run(signal.SIGTERM, "assert service.wait() == 0", "error")
    result.assert_outcomes(passed=1)
    for pattern in ("*posix-shm*", "*posix-mq*", "*/control*"):
        result.stdout.no_fnmatch_line(pattern)


def test_crash_that_nobody_waits_for_fails_the_test(run):
    result = run(signal.SIGSEGV, "service.wait_state('ZX')", "ignore")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*SIGSEGV*"])

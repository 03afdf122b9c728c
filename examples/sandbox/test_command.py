"""The sandbox as a command: status, streams, signals, and processes that end with it."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

import pytest_ipc


@pytest.mark.parametrize("status", [0, 1, 77])
def test_exit_status_is_that_of_the_command(run, status):
    assert run("sh", "-c", f"exit {status}").wait() == status


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_signal_reaches_the_command(run, signo):
    program = run("sh", "-c", "echo ready; exec sleep 60")
    program.wait_for_output("ready")
    program.wait_blocked("clock_nanosleep")
    program.signal(signo)
    assert program.wait() == -signo


def test_command_can_handle_a_signal(run):
    program = run("sh", "-c", 'trap "echo bye; exit 3" TERM; echo ready; while :; do sleep 0.01; done')
    program.wait_for_output("ready")
    assert program.terminate() == 3
    assert program.stdout == "ready\nbye\n"


def test_streams_are_those_of_the_command(run):
    program = run("sh", "-c", "cat; echo problem >&2", stdin=b"input")
    assert (program.wait(), program.stdout, program.stderr) == (0, "input", "problem\n")


def test_missing_command_is_an_error(run):
    program = run("/no/such/command")
    assert program.wait() == 127
    assert "/no/such/command" in program.stderr


def test_only_the_standard_streams_are_open_inside(inside):
    assert inside("descriptors") == [0, 1, 2]


def test_a_descriptor_can_be_passed_on(ipc, run):
    pipe = ipc.pipe()
    program = run("sh", "-c", f"echo through >/proc/self/fd/{pipe.write_fd}", pass_fds=[pipe.write_fd])
    assert program.wait() == 0
    assert pipe.read() == b"through\n"


def test_stopped_command_continues(run):
    program = run("sh", "-c", "read line; echo got $line", stdin=subprocess.PIPE)
    program.wait_blocked("read")
    program.signal(signal.SIGSTOP)
    program.wait_state("T")
    program.write(b"late\n")
    program.signal(signal.SIGCONT)
    program.wait_for_output("got late")


def test_two_sandboxes_do_not_share_a_namespace(run):
    both = [run("sh", "-c", "echo ready; exec sleep 60") for _ in range(2)]
    for program in both:
        program.wait_for_output("ready")
    assert len({os.readlink(f"/proc/{program.pid}/ns/ipc") for program in both}) == 2


def test_no_process_inside_outlives_the_test(sandbox):
    with pytest_ipc.scope() as inner:
        program = inner.spawn([*sandbox, "sh", "-c", "sleep 60 & sleep 60 & echo ready; wait"])
        program.wait_for_output("ready")
        inner.wait_until(lambda: len(program.children()) == 2)
        processes = program.children()
    assert [process for process in processes if process.alive] == []

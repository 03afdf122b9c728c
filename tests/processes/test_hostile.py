"""Programs that do what they should not: each ends in a bounded time, with a clear result."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from pytest_ipc import ChildDied, Program
from pytest_ipc.kernel import Deadline, proc

PYTHON = sys.executable


def gone(pid: int) -> bool:
    state = proc.process_state(pid)
    return state is None or state.state in "ZX"


def own_children() -> set[int]:
    return {int(pid) for pid in Path("/proc/thread-self/children").read_text().split()}


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def test_it_closes_its_descriptors(spawn):
    source = "import os, signal\nprint('begin', flush=True)\nos.closerange(0, 1024)\nsignal.pause()"
    program = spawn([PYTHON, "-u", "-c", source])
    program.wait_blocked("pause", timeout=60)
    assert program.open_files() == {}
    assert program.stdout == "begin\n"
    with pytest.raises(TimeoutError, match="its output was:\nbegin"):
        program.wait_for_output("never", timeout=0.01)
    assert program.terminate(grace=60) == -signal.SIGTERM


def test_a_daemon_ends_with_it(spawn):
    """It forks twice in a session of its own, closes everything, and its parents end."""
    source = """
import os, signal
waiting, ready = os.pipe()
if os.fork():
    os.read(waiting, 1)  # the output of a program is waited for while it runs
    os._exit(3)
os.setsid()
if os.fork():
    os._exit(0)
os.write(1, b"%d\\n" % os.getpid())
os.write(ready, b"x")
os.closerange(0, 1024)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pause()
"""
    program = spawn([PYTHON, "-u", "-c", source])
    daemon = int(program.wait_for_output(r"^(\d+)$", timeout=60)[1])
    assert program.wait(timeout=60) == 3
    assert not gone(daemon)
    program.close()
    assert proc.process_state(daemon) is None


def test_it_changes_its_user(spawn):
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("needs root and the program setpriv")
    command = "echo $(id -u); trap '' TERM; sleep 1000 & wait"
    change = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    program = spawn([*change, "sh", "-c", command], cwd="/")
    program.wait_for_output("^65534$", timeout=60)
    program.wait_for(lambda: [child.command for child in program.children()] == ["sleep"], timeout=60)
    (below,) = program.children()
    assert program.terminate(grace=0.01) == -signal.SIGKILL
    assert gone(below.pid)


def test_it_executes_another_program(spawn):
    program = spawn(["sh", "-c", "echo one; exec sh -c 'echo two; exec sh -c \"echo three; exec sleep 1000\"'"])
    program.wait_for_output("one\ntwo\nthree\n", timeout=60)
    program.wait_for(lambda: "sleep" in proc.doing(program.pid) or program.open_files(), timeout=60)
    program.wait_blocked(timeout=60)
    assert program.alive
    program.signal(signal.SIGTERM)
    assert program.wait(timeout=60) == -signal.SIGTERM


@pytest.mark.parametrize("how", ["terminate", "close", "wait"])
def test_it_is_stopped(spawn, how):
    program = spawn(["sh", "-c", "kill -STOP $$; exit 4"])
    assert program.wait_state("T", timeout=60) == "T"
    if how == "terminate":
        assert program.terminate(grace=0.01) == -signal.SIGKILL
    elif how == "close":
        program.close()
        assert proc.process_state(program.pid) is None
    else:
        with pytest.raises(TimeoutError, match="it was in state T"):
            program.wait(timeout=0.01)
        program.signal(signal.SIGCONT)
        assert program.wait(timeout=60) == 4


def test_it_ignores_every_signal_and_so_does_its_child(spawn):
    source = "for n in 1 2 3 10 12 13 14 15; do trap '' $n; done; sh -c 'echo ready; exec sleep 1000'"
    program = spawn(["sh", "-c", source])
    program.wait_for_output("ready", timeout=60)
    (below,) = program.children()
    assert program.terminate(grace=0.01) == -signal.SIGKILL
    assert gone(below.pid)


def check_ended(program: Program) -> None:
    """Every call about a program that has ended has a clear result."""
    with pytest.raises(ChildDied, match="it exited with status 5"):
        program.wait_blocked("read")
    with pytest.raises(ChildDied, match="it exited with status 5"):
        program.wait_for_output("never")
    with pytest.raises(ChildDied, match="it exited with status 5"):
        program.wait_state("T")
    with pytest.raises(ProcessLookupError, match="has ended"):
        program.signal(signal.SIGTERM)
    for read in (program.children, program.open_files, program.maps, program.limits, program.ipc_objects):
        with pytest.raises(ProcessLookupError, match="has ended"):
            read()
    assert (program.wait(), program.terminate(), program.returncode, program.alive) == (5, 5, 5, False)


# The steps of a start after the fork, each with the module that calls it.
STARTS = [
    ("started", "Leader"),
    ("tree", "started"),
    ("history", "started"),
    ("execution", "_await_execution"),
    ("leader", "pidfd_open"),
    ("leader", "start_of"),
]


@pytest.mark.parametrize(("module", "name"), STARTS, ids=[f"{module}-{name}" for module, name in STARTS])
def test_it_exits_between_two_steps_of_its_start(spawn, fork, monkeypatch, module, name):
    owner = import_module(f"pytest_ipc.processes.{module}")
    step = getattr(owner, name)
    waited = []

    def late(*arguments, **named):
        for pid in own_children() - before:
            assert Deadline(60).until(partial(has_ended, pid))
            waited.append(pid)
        return step(*arguments, **named)

    before = own_children()
    monkeypatch.setattr(owner, name, late)
    if name == "_await_execution":  # only a forked child is waited for
        monkeypatch.setattr(owner, "can_share_memory", lambda *_, **__: False)
    program = spawn(["sh", "-c", "echo done; exit 5"])
    child = fork(os.getpid) if name != "_await_execution" else None
    monkeypatch.undo()
    assert program.pid in waited
    program.wait(timeout=60)
    assert program.stdout == "done\n"
    check_ended(program)
    if child is not None:
        assert child.pid in waited
        assert child.result() == child.pid


ENDS = [
    ("history", "about_to_kill"),
    ("tree", "descendants"),
    ("tree", "end"),
    ("tree", "let_go"),
    ("started", "settle"),
]


@pytest.mark.parametrize(("module", "name"), ENDS, ids=[name for _, name in ENDS])
@pytest.mark.parametrize("how", ["program", "child"])
def test_it_exits_between_two_steps_of_its_end(spawn, fork, monkeypatch, module, name, how):
    process = spawn(["sleep", "1000"]) if how == "program" else fork(signal.pause)
    process.wait_blocked(timeout=60)
    owner = import_module(f"pytest_ipc.processes.{module}")
    step = getattr(owner, name)
    called = []

    def late(*arguments, **named):
        called.append(name)
        if not gone(process.pid):
            os.kill(process.pid, signal.SIGKILL)
            assert Deadline(60).until(lambda: gone(process.pid))
        return step(*arguments, **named)

    monkeypatch.setattr(owner, name, late)
    process.close()
    monkeypatch.undo()
    assert called
    assert proc.process_state(process.pid) is None


def test_it_is_killed_by_another_while_it_is_waited_for(spawn):
    program = spawn(["sleep", "1000"])
    killer = spawn(["sh", "-c", f"kill -KILL {program.pid}"])
    assert program.wait(timeout=60) == -signal.SIGKILL
    assert killer.wait(timeout=60) == 0


def test_it_is_reaped_by_the_test(spawn):
    program = spawn(["sh", "-c", "exit 5"])
    assert os.waitpid(program.pid, 0)[1] == 5 << 8
    assert program.wait(timeout=60) is None
    with pytest.raises(ChildDied, match=r"its status is lost: another call of wait\(2\) took it"):
        program.wait_for_output("never")

"""How a program is started: in a child that shares this process's memory where that is possible, else in a forked one.

What such a program has and how it ends is the same, and tested elsewhere; here is what decides, and what is undone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    "SigBlk" not in Path("/proc/self/status").read_text(), reason="the kernel does not show which signals are ignored"
)

# Run in a process of its own, with one thread; `how` is "shared" or "forked" for the last program.
PROGRAM = """
import os, resource, signal, subprocess, sys, threading
import pytest_ipc
from pytest_ipc.custody import descendants, identity
from pytest_ipc import unpatched
from pytest_ipc import custody
from pytest_ipc.processes import execution

# As from a shell, whatever runs the tests ignores or blocks; CPython ignores two, which subprocess resets.
for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
    if signal.getsignal(signo) == signal.SIG_IGN:
        signal.signal(signo, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())

how = ""
def noting(name, function):
    def called(*args):
        global how
        how = name
        return function(*args)
    return called
execution._fork = noting("forked", execution._fork)
execution.start_program = noting("shared", execution.start_program)

signals = ["grep", "-hE", "^Sig(Blk|Ign)", "/proc/self/status"]
def of_program(**options):
    with ipc.spawn(signals, **options) as grep:
        assert grep.wait(timeout=60) == 0
        return [int(line.split()[1], 16) & ((1 << 31) - 1) for line in grep.stdout.splitlines()]

def own():
    return identity.tag_of("self"), descendants.mark_of("self"), sorted(os.listdir("/proc/self/fd"))

def program(ipc, *args, **options):
    ipc.spawn(["true"], **options).wait(timeout=60)
    return how

scope = pytest_ipc.scope()
ipc = scope.__enter__()
program(ipc)
before = own()
"""


def test_it_shares_memory_if_no_thread_of_a_test_could_start_another(program):
    program(
        PROGRAM
        + """
assert program(ipc) == program(ipc, cwd="/", env={}, stdin=b"x", signals="inherit") == "shared"
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
assert program(ipc) == "forked"
custody.note_runners()  # as if the plugin were loaded now: it is a thread of the runner
assert program(ipc) == "shared"
found = []
other = threading.Thread(target=lambda: found.append(program(ipc)))
custody.note_runners()
other.start()
other.join()
assert found == ["forked"]  # the first thread runs tests
end.set()
thread.join()
"""
    )


def test_a_program_has_default_signals_however_it_is_started(program):
    program(
        PROGRAM
        + """
assert of_program() == [0, 0] and how == "shared"
signal.signal(signal.SIGUSR1, lambda *_: None)
assert of_program() == [0, 0] and how == "shared"
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
assert of_program() == [0, 0] and how == "forked"
usr1 = 1 << signal.SIGUSR1 - 1
blocked, ignored = of_program(signals="inherit")
assert how == "shared" and blocked == 0 and ignored & usr1
signal.signal(signal.SIGUSR1, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
assert of_program() == [0, 0] and how == "forked"
assert of_program(signals="inherit")[0] == usr1 and how == "shared"
"""
    )


def test_tag_and_mark_are_the_program_s_and_not_this_process_s(program):
    program(
        PROGRAM
        + """
with ipc.spawn(["sleep", "1000"]) as sleeping:
    assert how == "shared"
    assert identity.tag_of(sleeping.pid) == sleeping._child._tag != before[0]
    assert descendants.mark_of(sleeping.pid) == before[1] + 1
assert own() == before
for argv, error in ((["/no/such/program"], FileNotFoundError), (["/dev"], PermissionError)):
    try:
        ipc.spawn(argv)
    except error as found:
        assert found.filename == argv[0]
    else:
        raise AssertionError(argv)
    assert own() == before
"""
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_start_leaves_tag_and_mark_as_they_were(program, when):
    """The program may run by then: it stays on record, and the reaper ends it."""
    program(
        PROGRAM
        + """
original = unpatched.subprocess.Popen
pids = []
def interrupted(*args, **options):
    if sys.argv[1] == "before":
        raise KeyboardInterrupt
    pids.append(original(*args, **options).pid)
    raise KeyboardInterrupt
unpatched.subprocess.Popen = interrupted
try:
    ipc.spawn(["sleep", "1000"])
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not interrupted")
assert own()[:2] == before[:2]
from pytest_ipc.custody import ledger
assert len(ledger.current()._open) == 2  # the program at the begin, whose scope is open
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""",
        when,
    )


def test_no_patch_of_the_test_reaches_it(program):
    program(
        PROGRAM
        + """
def fails(*args, **options):
    raise AssertionError("a patch was called")
subprocess.Popen = subprocess.Popen.__init__ = subprocess.Popen._execute_child = fails
os.pipe = os.read = os.close = fails
assert program(ipc) == "shared"
"""
    )

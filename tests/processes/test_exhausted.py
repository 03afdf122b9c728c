"""A child or program that cannot be started for want of descriptors or memory: its errno, and nothing is left of it."""

from __future__ import annotations

import pytest

# Run in a process of its own. `start` starts and ends one, `look` returns what is left: descriptors, children, records.
PROGRAM = """
import errno, mmap, os, resource, sys, threading
import pytest_ipc
from pytest_ipc import unpatched
from pytest_ipc.custody import ledger
from pytest_ipc.kernel import Deadline, process_state

def look():
    names = [name for name in os.listdir("/proc/self/fd")]
    kids = open("/proc/thread-self/children").read().split()
    return len(names), [pid for pid in kids if pid != reaper], len(ledger.current()._open)

def fork(ipc):
    return ipc.fork(os.getpid).result(timeout=30)

def spawn(ipc):
    assert ipc.spawn(["true"]).wait(timeout=30) == 0

def spawn_with_input(ipc):
    assert ipc.spawn(["cat"], stdin=b"x" * 10).wait(timeout=30) == 0

def spawn_with_pipe(ipc):
    program = ipc.spawn(["cat"], stdin=-1)
    program.close_stdin()
    assert program.wait(timeout=30) == 0

start = dict(fork=fork, spawn=spawn, spawn_with_input=spawn_with_input, spawn_with_pipe=spawn_with_pipe)[sys.argv[1]]
first = pytest_ipc.scope()
ipc = first.__enter__()
start(ipc)  # ledger and reaper are there, and modules imported
pipe = ipc.pipe()  # its ledger stays open
(reaper,) = open("/proc/thread-self/children").read().split() or [""]
before = look()

def attempt(what):
    failed = ""
    with pytest_ipc.scope() as inner:
        try:
            start(inner)
        except BaseException as error:
            failed = error
        relieve(failed)  # how a test ends without descriptors is another matter
    return failed

"""
LIMITED = (
    PROGRAM
    + """
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
highest = max(fd for fd in map(int, os.listdir("/proc/self/fd")) if fd < 512)
failures = 0

def relieve(failed):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

for free in range(40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + free, hard))
    failed = attempt(free)
    assert failed == "" or (isinstance(failed, OSError) and failed.errno == errno.EMFILE), (free, repr(failed))
    assert Deadline(10).until(lambda: look() == before), (free, repr(failed), before, look())
    failures += failed != ""
    if failed == "" and failures:
        break
assert failures and failed == "", "the limit was never in the way, or always"
print(failures)
"""
)
INJECTED = (
    PROGRAM
    + """
from pytest_ipc.kernel import memfile, pidfd
from pytest_ipc.processes import child, leader

code, fail_at, me = getattr(errno, sys.argv[2]), 0, os.getpid()
calls = memoryview(mmap.mmap(-1, 8)).cast("q")  # shared with the child

def failing(call):
    def replacement(*args, **kwargs):
        if (os.getpid() == me) == (sys.argv[3] == "parent"):
            calls[0] += 1
            if calls[0] == fail_at:
                raise OSError(code, os.strerror(code))
        return call(*args, **kwargs)
    return replacement

for name in "memfd_create pipe2 open write lseek dup dup2 setpgid listdir set_inheritable execvpe pread".split():
    setattr(unpatched.os, name, failing(getattr(unpatched.os, name)))
for module, name in ((child, "fork"), (leader, "pidfd_open"), (unpatched.fcntl, "fcntl")):
    setattr(module, name, failing(getattr(module, name)))

failures = []
if sys.argv[4] == "forked":  # a program is started by fork(2) in a process with threads
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def relieve(failed):
    global reached, fail_at
    reached, fail_at = calls[0] >= fail_at, 0

for number in range(1, 400):
    calls[0], fail_at = 0, number
    failed = attempt(number)
    assert failed == "" or (isinstance(failed, OSError) and failed.errno == code) or isinstance(failed, SystemError), (
        number, repr(failed))
    assert Deadline(10).until(lambda: look() == before), (number, repr(failed), before, look())
    failures.append(failed != "")
    if not reached:
        break
else:
    raise AssertionError("the calls never end")
print(len(failures), sum(failures))
"""
)
HOW = ["fork", "spawn", "spawn_with_input", "spawn_with_pipe"]
CODES = ["ENOMEM", "EMFILE", "ENFILE", "EAGAIN"]


@pytest.mark.parametrize("how", HOW)
def test_no_descriptor_is_free(program, how):
    assert int(program(LIMITED, how).stdout.splitlines()[-1].lstrip("x")) > 2


PLACES = [("parent", "shared"), ("parent", "forked"), ("child", "forked")]


@pytest.mark.parametrize(("side", "memory"), PLACES, ids=map(" ".join, PLACES))
@pytest.mark.parametrize(("how", "code"), list(zip(HOW, CODES, strict=True)))
def test_each_call_fails_once(program, how, code, side, memory):
    *_, last = program(INJECTED, how, code, side, memory).stdout.splitlines()
    tried, failed = map(int, last.lstrip("x").split())
    assert tried > 8
    assert failed > 3

"""What no program or child can be given is refused with one clear sentence, and nothing is started for it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Ipc, ReservedName

from ..leaks import Snapshot

Call = Callable[[Any], Any]
OPEN = "must contain open descriptors, not"

REFUSED: dict[str, tuple[Call, type[Exception], str]] = {
    "argv of text": (
        lambda ipc: ipc.spawn("ls -l"),
        TypeError,
        "argv must be a non-empty sequence of arguments, as in",
    ),
    "argv of nothing": (lambda ipc: ipc.spawn([]), TypeError, "argv must be a non-empty sequence of arguments, as in"),
    "argv of a path": (lambda ipc: ipc.spawn(Path("/bin/ls")), TypeError, "argv must be a non-empty sequence"),
    "argument of a number": (lambda ipc: ipc.spawn(["ls", 3]), TypeError, "argv[1] must be a string or a path, not 3"),
    "no program": (lambda ipc: ipc.spawn([None]), TypeError, "argv[0] must be a string or a path, not None"),
    "empty program": (lambda ipc: ipc.spawn([""]), ValueError, "argv[0] must be the name or path of a program, not ''"),
    "NUL in a program": (lambda ipc: ipc.spawn(["l\0s"]), ValueError, "argv[0] must not contain a NUL: 'l\\x00s'"),
    "NUL in an argument": (lambda ipc: ipc.spawn(["ls", b"\0"]), ValueError, "argv[1] must not contain a NUL: '\\x00'"),
    "argument of no bytes": (
        lambda ipc: ipc.spawn(["ls", "\ud800"]),
        ValueError,
        "argv[1] must be encodable as utf-8, not '\\ud800'",
    ),
    "env of a list": (
        lambda ipc: ipc.spawn(["ls"], env=["A=3"]),
        TypeError,
        "env must be a mapping of names to values",
    ),
    "env of a number": (
        lambda ipc: ipc.spawn(["ls"], env={"A": 3}),
        TypeError,
        "env['A'] must be a string or a path, not 3",
    ),
    "name of a number": (
        lambda ipc: ipc.spawn(["ls"], env={3: "A"}),
        TypeError,
        "a name in env must be a string or a path, not 3",
    ),
    "name with =": (lambda ipc: ipc.spawn(["ls"], env={"A=B": "3"}), ValueError, "without '=', not 'A=B'"),
    "empty name": (lambda ipc: ipc.spawn(["ls"], env={"": "3"}), ValueError, "must be non-empty"),
    "NUL in env": (lambda ipc: ipc.spawn(["ls"], env={"A": "\0"}), ValueError, "env['A'] must not contain a NUL"),
    "cwd of a number": (lambda ipc: ipc.spawn(["ls"], cwd=3), TypeError, "cwd must be a string or a path, not 3"),
    "NUL in cwd": (lambda ipc: ipc.spawn(["ls"], cwd="/\0"), ValueError, "cwd must not contain a NUL: '/\\x00'"),
    "closed descriptor": (lambda ipc: ipc.spawn(["ls"], pass_fds=(999,)), OSError, f"pass_fds {OPEN} 999"),
    "negative descriptor": (lambda ipc: ipc.spawn(["ls"], pass_fds=(-1,)), OSError, f"pass_fds {OPEN} -1"),
    "huge descriptor": (lambda ipc: ipc.spawn(["ls"], pass_fds=(1 << 40,)), OSError, f"pass_fds {OPEN} 1099511627776"),
    "descriptor of text": (lambda ipc: ipc.spawn(["ls"], pass_fds=("1",)), TypeError, "which are integers, not '1'"),
    "descriptor of truth": (lambda ipc: ipc.spawn(["ls"], pass_fds=(True,)), TypeError, "which are integers, not True"),
    "one descriptor": (lambda ipc: ipc.spawn(["ls"], pass_fds=3), TypeError, "as in (pipe.read_fd,), not 3"),
    "stdin of text": (lambda ipc: ipc.spawn(["cat"], stdin="x"), TypeError, "stdin must be bytes, subprocess.PIPE or"),
    "stdin of a number": (
        lambda ipc: ipc.spawn(["cat"], stdin=5),
        TypeError,
        "stdin must be bytes, subprocess.PIPE or",
    ),
    "unknown signals": (lambda ipc: ipc.spawn(["ls"], signals="x"), ValueError, "'default' or 'inherit', not 'x'"),
    "child of a number": (lambda ipc: ipc.fork(3), TypeError, "function must be callable, not 3"),
    "kept closed one": (lambda ipc: ipc.fork.keeping(999)(int), OSError, f"fork.keeping() {OPEN} 999"),
    "kept text": (lambda ipc: ipc.fork.keeping("x")(int), TypeError, "which are integers, not 'x'"),
    "observed text": (lambda ipc: ipc.observe("1"), TypeError, "pid must be an integer, not '1'"),
    "observed truth": (lambda ipc: ipc.observe(True), TypeError, "pid must be an integer, not True"),
    "observed nobody": (lambda ipc: ipc.observe(-1), ProcessLookupError, "no process has the id -1"),
    "predicate of a number": (
        lambda ipc: ipc.wait_until(3),
        TypeError,
        "predicate must be a function without arguments",
    ),
    "reserved text": (lambda ipc: ipc.reserve_name("/\ud800"), ValueError, "must be encodable as utf-8, not '\\ud800'"),
    "reserved path": (lambda ipc: ipc.reserve_path("\ud800"), ValueError, "must be encodable as utf-8, not '\\ud800'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_and_nothing_is_started(ipc: Ipc, monkeypatch, temporary_root, what):
    call, error, text = REFUSED[what]
    ipc.reserve_path()  # the state directory is there
    before = Snapshot.take(temporary_root)

    def fork() -> int:
        raise AssertionError("a process is started for it")

    monkeypatch.setattr("pytest_ipc.processes.child.fork", fork)
    with pytest.raises(error, match=re.escape(text)):
        call(ipc)
    assert before.left(Snapshot.take(temporary_root)) == []


WAITS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "no state": (lambda it: it.wait_state(""), ValueError, "states must be letters of DIKPRSTWXZtx"),
    "unknown state": (lambda it: it.wait_state("q"), ValueError, "states must be letters of DIKPRSTWXZtx"),
    "state of a number": (lambda it: it.wait_state(3), TypeError, "states must be a string of state letters"),
    "unknown call": (lambda it: it.wait_blocked("nope"), ValueError, "system call must be one of"),
    "negative time": (lambda it: it.wait(timeout=-1), ValueError, "timeout must be a non-negative number of seconds"),
    "signal of text": (lambda it: it.signal("TERM"), TypeError, "argument must be an integer, not str 'TERM'"),
    "unknown signal": (lambda it: it.signal(99), OSError, "Invalid argument"),
}


@pytest.mark.parametrize("what", WAITS)
def test_a_wrong_wait_or_signal_changes_nothing(ipc: Ipc, what):
    call, error, text = WAITS[what]
    program = ipc.spawn(["sleep", "100"])
    for it in (program, ipc.observe(program.pid)):
        with pytest.raises(error, match=text):
            call(it)
    assert program.alive


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda it: it.wait_for_output(b"x"), TypeError, "pattern must be a string or a compiled pattern of one"),
        (lambda it: it.wait_for_output("x", stream="x"), ValueError, "stream must be 'stdout' or 'stderr', not 'x'"),
        (lambda it: it.wait_for(3), TypeError, "predicate must be a function without arguments, not 3"),
        (lambda it: it.terminate(grace=-1), ValueError, "must be a non-negative number of seconds or None, not -1"),
        (lambda it: it.terminate(grace="1"), TypeError, "must be a number of seconds or None, not '1'"),
    ],
    ids="pattern stream predicate grace text".split(),
)
def test_a_wrong_call_of_a_program_leaves_it_running(ipc: Ipc, call, error, text):
    program = ipc.spawn(["sleep", "100"])
    with pytest.raises(error, match=text):
        call(program)
    assert program.alive


def test_standard_input_that_is_closed_is_said_to_be_closed(ipc: Ipc):
    program = ipc.spawn(["cat"], stdin=-1)
    program.close_stdin()
    with pytest.raises(ValueError, match=r"the standard input of <program \d+ \(cat\)> is closed"):
        program.write(b"x")


def test_what_has_ended_cannot_be_read(ipc: Ipc):
    program = ipc.spawn(["true"])
    program.wait()
    for read in (program.children, program.open_files, program.maps, program.limits, program.ipc_objects):
        with pytest.raises(ProcessLookupError, match=r"<process \d+> has ended"):
            read()


def noted(ipc: Ipc, argv: list[Any], **options: Any) -> tuple[OSError, str]:
    with pytest.raises(OSError, match=r"execve: ") as caught:
        ipc.spawn(argv, **options)
    return caught.value, caught.value.__notes__[0]


def test_an_error_of_execve_has_its_reason(ipc: Ipc, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    error, reason = noted(ipc, [script])
    assert (error.errno, reason) == (
        errno.EACCES,
        f"it is not executable: its mode is {script.stat().st_mode & 0o7777:#o}",
    )
    script.chmod(0o755)
    error, reason = noted(ipc, ["./script"], cwd=tmp_path)
    assert (error.errno, reason) == (errno.ENOENT, "its interpreter does not exist: #!/no/such/interpreter")
    error, reason = noted(ipc, [tmp_path])
    assert (error.errno, reason) == (errno.EACCES, "it is a directory")
    error, reason = noted(ipc, ["no-such-program"], env={"PATH": "/bin:/usr/bin"})
    assert (error.errno, reason) == (errno.ENOENT, "no-such-program is not in PATH, which is /bin:/usr/bin")
    script.write_text("text")
    error, reason = noted(ipc, [script])
    assert (error.errno, reason[:24]) == (errno.ENOEXEC, "it is neither a binary o")
    error, reason = noted(ipc, ["true", "x" * 3_000_000], env={})
    assert (error.errno, reason[:44]) == (errno.E2BIG, "arguments and environment have 3000006 bytes")


def test_a_missing_directory_is_called_cwd(ipc: Ipc):
    with pytest.raises(FileNotFoundError, match="chdir to cwd: No such file or directory: '/no/such/folder'"):
        ipc.spawn(["true"], cwd="/no/such/folder")


def test_compiled_pattern_is_used_as_it_is(ipc: Ipc):
    program = ipc.spawn(["sh", "-c", "printf 'one\nTWO\n'; exec sleep 100"])
    assert program.wait_for_output(re.compile("^two", re.MULTILINE | re.IGNORECASE))[0] == "TWO"


CLOSED = """
import os, sys
import pytest_ipc
from pytest_ipc.processes import execution

cases = [(None, "/dev/null"), (b"in", "/memfd:pytest-ipc-stdin (deleted)"), (execution.PIPE, "pipe:")]
if "low" in sys.argv:
    execution.put_high = int  # plants the fault: a descriptor keeps its number, which may be that of a standard stream
    cases = cases[:1]
mixed = []
for given, name in cases:
    for fds in ((0,), (1,), (0, 1), (0, 1, 2)):
        saved = {fd: os.dup(fd) for fd in fds}
        with pytest_ipc.scope() as ipc:
            for fd in fds:
                os.close(fd)
            cat = ipc.spawn(["sh", "-c", "readlink /proc/$$/fd/0; cat; echo out; echo err >&2"], stdin=given)
            for fd, copy in saved.items():
                os.dup2(copy, fd)
                os.close(copy)
            if given == execution.PIPE:
                cat.write(b"in")
                cat.close_stdin()
            status, out, err = cat.wait(), cat.stdout, cat.stderr
        right = (status, err) == (0, "err\\n") and out.startswith(name)
        if not right or not out.endswith("\\nout\\n" if given is None else "\\ninout\\n"):
            mixed.append((fds, given, status, out, err))
print(f"{len(mixed)} mixed up: {mixed}")  # after the output of the programs
"""


def test_closed_standard_streams_of_the_test_are_not_mixed_up(program):
    """A descriptor that is opened for the program then has the number of a standard stream."""
    assert program(CLOSED).stdout.splitlines()[-1] == "0 mixed up: []"
    assert "mixed up: [((1,), None, 0, " in program(CLOSED, "low").stdout


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.makedirs(f"{path}/below")], ids=["empty", "full"])
@pytest.mark.parametrize("prefix", ["", "sem."])
def test_directory_under_a_reserved_name(make, prefix):
    reserved = ReservedName()
    path = f"/dev/shm/{prefix}{reserved.name[1:]}"
    make(path)
    if os.listdir(path):
        with pytest.raises(OSError, match=f"a directory has the reserved name and is not removed .*; rm -r {path}"):
            reserved.close()
        os.rmdir(f"{path}/below")
    reserved.close()
    assert not os.path.exists(path)

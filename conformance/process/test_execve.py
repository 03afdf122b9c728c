"""execve(2): attributes that a process keeps and loses, and errors."""

from __future__ import annotations

import os
import resource
import sys
from errno import E2BIG, EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC, ENOTDIR
from pathlib import Path
from signal import SIGTERM
from threading import Thread

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import PR_GET_PDEATHSIG, PR_SET_PDEATHSIG, pause, prctl

from ..signal.plain_child import add_thread, become_program, printed

WHICH_ARE_OPEN = """
import os, sys
for fd in map(int, sys.argv[1:]):
    try:
        os.fstat(fd)
        print(fd)
    except OSError:
        pass
"""


@clause("exec.cloexec-closes", "execve(2)", "Effect on process attributes")
def test_close_on_exec_descriptors_are_closed(fork, pipe):
    """execve() closes descriptors with the close-on-exec flag; all others stay open."""
    channel = pipe()

    def life() -> None:
        os.set_inheritable(channel.read_fd, True)
        become_program(WHICH_ARE_OPEN, channel.read_fd, channel.write_fd)

    assert printed(fork(life)) == str(channel.read_fd)


@clause("exec.offset-kept", "execve(2)", "Effect on process attributes")
def test_open_descriptor_keeps_offset(fork, tmp_path):
    """A descriptor that stays open across execve() keeps its open file description and file offset."""
    (tmp_path / "file").write_bytes(b"0123456789")

    def life() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        os.read(fd, 4)
        os.set_inheritable(fd, True)
        become_program("import os, sys; print(os.read(int(sys.argv[1]), 3).decode())", fd)

    assert printed(fork(life)) == "456"


@clause("exec.process-kept", "execve(2)", "DESCRIPTION")
def test_process_attributes_are_kept(fork):
    """execve() keeps the process ID, parent, process group, session, working directory and umask."""

    def life() -> None:
        os.chdir("/")
        os.umask(0o123)
        become_program(
            "import os; print(os.getpid(), os.getppid(), os.getpgrp(), os.getsid(0), os.getcwd(), os.umask(0))"
        )

    program = fork(life)
    assert printed(program).split() == [
        *map(str, (program.pid, os.getpid(), program.pid, os.getsid(0))),
        "/",
        str(0o123),
    ]


@clause("exec.arguments-and-environment", "execve(2)", "DESCRIPTION")
def test_arguments_and_environment_are_passed(fork):
    """execve() passes argv and envp to the new program, including empty strings."""
    source = "import os, sys; print(sys.argv[1:], os.environ.get('OURS'), 'HOME' in os.environ)"

    def life() -> None:
        os.execve(sys.executable, [sys.executable, "-P", "-S", "-c", source, "one", "", "t w o"], {"OURS": "yes"})

    assert printed(fork(life)) == "['one', '', 't w o'] yes False"


@clause("exec.does-not-return", "execve(2)", "RETURN VALUE")
def test_success_does_not_return(fork):
    """On success execve() does not return."""

    def life() -> None:
        try:
            become_program("print('new')")
        finally:
            os.write(1, b"old")

    assert printed(fork(life)) == "new"


@clause("exec.pdeathsig-kept", "prctl(2)", "PR_SET_PDEATHSIG")
def test_parent_death_signal_is_kept(fork):
    """The parent death signal is preserved across execve() of a program that is not set-user-ID or set-group-ID."""

    def life() -> None:
        prctl(PR_SET_PDEATHSIG, SIGTERM)
        become_program(
            "import ctypes; signo = ctypes.c_int();"
            f"ctypes.CDLL(None).prctl({PR_GET_PDEATHSIG}, ctypes.byref(signo)); print(signo.value)"
        )

    assert printed(fork(life)) == str(int(SIGTERM))


COUNT_THREADS = "import os; print(os.getpid(), *os.listdir('/proc/self/task'))"


@clause("exec.threads-destroyed", "execve(2)", "Effect on process attributes")
def test_other_threads_are_destroyed(fork):
    """execve() destroys all threads other than the calling one."""

    def life() -> None:
        add_thread()
        assert len(os.listdir("/proc/self/task")) == 2
        become_program(COUNT_THREADS)

    program = fork(life)
    assert printed(program) == f"{program.pid} {program.pid}"


@clause("exec.thread-becomes-leader", "execve(2)", "Effect on process attributes")
def test_calling_thread_becomes_leader(fork):
    """If a thread other than the leader calls execve(), the new program's only thread gets the process ID as its
    thread ID.
    """

    def life() -> None:
        Thread(target=become_program, args=(COUNT_THREADS,)).start()
        pause()

    program = fork(life)
    assert printed(program) == f"{program.pid} {program.pid}"


def refused(path: Path | str, errno: int, argument: str = "") -> str:
    """Assert that executing *path* fails in this process, a child, which continues."""
    with fails_with(errno):
        os.execv(path, [os.fspath(path), argument])
    return "went on"


@clause("exec.enoent", "execve(2)", "ERRORS", errno=ENOENT)
def test_missing_file_fails(fork, tmp_path):
    """execve() fails with ENOENT if the file does not exist."""
    assert fork(refused, tmp_path / "none", ENOENT).result() == "went on"


@clause("exec.enotdir", "execve(2)", "ERRORS", errno=ENOTDIR)
def test_path_through_file_fails(fork, tmp_path):
    """execve() fails with ENOTDIR if a component of the path prefix is not a directory."""
    (tmp_path / "file").touch()
    assert fork(refused, tmp_path / "file" / "program", ENOTDIR).result() == "went on"


@clause("exec.eloop", "execve(2)", "ERRORS", errno=ELOOP)
def test_symlink_loop_fails(fork, tmp_path):
    """execve() fails with ELOOP if the path leads to a loop of symbolic links."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert fork(refused, tmp_path / "one", ELOOP).result() == "went on"


@clause("exec.enametoolong", "execve(2)", "ERRORS", errno=ENAMETOOLONG)
def test_too_long_name_fails(fork, tmp_path):
    """execve() fails with ENAMETOOLONG if a file name is longer than 255 bytes."""
    assert fork(refused, tmp_path / ("n" * 256), ENAMETOOLONG).result() == "went on"
    assert fork(refused, tmp_path / ("n" * 255), ENOENT).result() == "went on"


@clause("exec.eacces-no-execute-bit", "execve(2)", "ERRORS", errno=EACCES)
def test_file_without_execute_permission_fails(fork, tmp_path):
    """execve() fails with EACCES if no execute bit of the file is set, even for a privileged process."""
    path = tmp_path / "file"
    path.write_bytes(b"#!/bin/true\n")
    path.chmod(0o666)
    assert fork(refused, path, EACCES).result() == "went on"


@clause("exec.eacces-directory", "execve(2)", "ERRORS", errno=EACCES)
def test_directory_fails(fork, tmp_path):
    """execve() fails with EACCES for a directory."""
    assert fork(refused, tmp_path, EACCES).result() == "went on"


@clause("exec.enoexec", "execve(2)", "ERRORS", errno=ENOEXEC)
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 no program", b"\x7fELF"], ids=["empty", "noise", "cut-off"])
def test_unknown_format_fails(fork, tmp_path, content):
    """execve() fails with ENOEXEC for an executable file in an unknown format."""
    path = tmp_path / "file"
    path.write_bytes(content)
    path.chmod(0o777)
    assert fork(refused, path, ENOEXEC).result() == "went on"


@clause("exec.e2big", "execve(2)", "ERRORS", errno=E2BIG)
def test_too_long_argument_fails(fork):
    """execve() fails with E2BIG for an argument of 32 pages with its null byte, and succeeds for one byte less."""
    limit = 32 * os.sysconf("SC_PAGE_SIZE")
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    if stack != resource.RLIM_INFINITY and stack < 16 * limit:  # arguments and environment may use a quarter of it
        untested(Need.PROCESS_LIMITS, f"RLIMIT_STACK is {stack}, and the clause needs {16 * limit}")
    assert fork(refused, sys.executable, E2BIG, "x" * limit).result() == "went on"
    fits = fork(become_program, "import sys; print(len(sys.argv[1]))", "x" * (limit - 1))
    assert printed(fits) == str(limit - 1)


@clause("exec.interpreter", "execve(2)", "Interpreter scripts")
def test_script_is_run_by_interpreter(fork, tmp_path):
    """execve() of a script runs the interpreter of its first line with the rest of that line as one argument, the
    pathname of the script, and the arguments after argv[0].
    """
    (tmp_path / "python").symlink_to(sys.executable)
    path = tmp_path / "script"
    path.write_text(f"#! {tmp_path}/python -SPcimport sys; print(sys.argv)\nnobody reads this\n")
    path.chmod(0o755)
    assert printed(fork(os.execv, path, ["nobody's", "three", "four"])) == str(["-c", str(path), "three", "four"])


@clause("exec.interpreter-missing-enoent", "execve(2)", "ERRORS", errno=ENOENT)
def test_missing_interpreter_fails(fork, tmp_path):
    """execve() of a script fails with ENOENT if its interpreter does not exist."""
    path = tmp_path / "script"
    path.write_text(f"#!{tmp_path}/none\n")
    path.chmod(0o755)
    assert fork(refused, path, ENOENT).result() == "went on"

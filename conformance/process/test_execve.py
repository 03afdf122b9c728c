"""execve(2): what a process keeps when it executes another program, what it loses, and what is refused."""

from __future__ import annotations

import os
import resource
import sys
from errno import E2BIG, EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC, ENOTDIR
from pathlib import Path
from signal import SIGTERM
from threading import Thread

import pytest

from pytest_ipc import clause, fails_with, untested
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
def test_exec_closes_what_is_marked(fork, pipe):
    """Descriptors with the close-on-exec flag are closed when another program is executed, all others stay open."""
    channel = pipe()

    def life() -> None:
        os.set_inheritable(channel.read_fd, True)
        become_program(WHICH_ARE_OPEN, channel.read_fd, channel.write_fd)

    assert printed(fork(life)) == str(channel.read_fd)


@clause("exec.offset-kept", "execve(2)", "Effect on process attributes")
def test_an_open_file_goes_on_where_it_was(fork, tmp_path):
    """A descriptor that stays open over exec is the same open file: reading goes on where it was."""
    (tmp_path / "file").write_bytes(b"0123456789")

    def life() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        os.read(fd, 4)
        os.set_inheritable(fd, True)
        become_program("import os, sys; print(os.read(int(sys.argv[1]), 3).decode())", fd)

    assert printed(fork(life)) == "456"


@clause("exec.process-kept", "execve(2)", "DESCRIPTION")
def test_the_process_stays_the_same(fork):
    """The program that is executed runs in the same process: its id, parent, group, session, directory and umask are kept."""

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
def test_arguments_and_environment_are_handed_over(fork):
    """The program that is executed has the arguments and the environment that the call gave, empty ones too."""
    source = "import os, sys; print(sys.argv[1:], os.environ.get('OURS'), 'HOME' in os.environ)"

    def life() -> None:
        os.execve(sys.executable, [sys.executable, "-P", "-S", "-c", source, "one", "", "t w o"], {"OURS": "yes"})

    assert printed(fork(life)) == "['one', '', 't w o'] yes False"


@clause("exec.does-not-return", "execve(2)", "RETURN VALUE")
def test_nothing_of_the_old_program_runs(fork):
    """A call that succeeds does not return: the old program does nothing any more."""

    def life() -> None:
        try:
            become_program("print('new')")
        finally:
            os.write(1, b"old")

    assert printed(fork(life)) == "new"


@clause("exec.pdeathsig-kept", "prctl(2)", "PR_SET_PDEATHSIG")
def test_the_signal_at_the_parent_s_death_is_kept(fork):
    """The signal that a process asked for at its parent's death is kept when it executes an ordinary program."""

    def life() -> None:
        prctl(PR_SET_PDEATHSIG, SIGTERM)
        become_program(
            "import ctypes; signo = ctypes.c_int();"
            f"ctypes.CDLL(None).prctl({PR_GET_PDEATHSIG}, ctypes.byref(signo)); print(signo.value)"
        )

    assert printed(fork(life)) == str(int(SIGTERM))


COUNT_THREADS = "import os; print(os.getpid(), *os.listdir('/proc/self/task'))"


@clause("exec.threads-destroyed", "execve(2)", "Effect on process attributes")
def test_other_threads_end(fork):
    """All threads but the calling one end when another program is executed."""

    def life() -> None:
        add_thread()
        assert len(os.listdir("/proc/self/task")) == 2
        become_program(COUNT_THREADS)

    program = fork(life)
    assert printed(program) == f"{program.pid} {program.pid}"


@clause("exec.thread-becomes-leader", "execve(2)", "Effect on process attributes")
def test_a_thread_that_executes_takes_the_process_s_id(fork):
    """Where a thread that is not the first executes a program, that one's only thread has the process's id."""

    def life() -> None:
        Thread(target=become_program, args=(COUNT_THREADS,)).start()
        pause()

    program = fork(life)
    assert printed(program) == f"{program.pid} {program.pid}"


def refused(path: Path | str, errno: int, argument: str = "") -> str:
    """Assert that executing *path* fails in this process, a child, which goes on."""
    with fails_with(errno):
        os.execv(path, [os.fspath(path), argument])
    return "went on"


@clause("exec.enoent", "execve(2)", "ERRORS", errno=ENOENT)
def test_there_is_no_such_program(fork, tmp_path):
    """A file that is not there cannot be executed."""
    assert fork(refused, tmp_path / "none", ENOENT).result() == "went on"


@clause("exec.enotdir", "execve(2)", "ERRORS", errno=ENOTDIR)
def test_the_way_leads_through_a_file(fork, tmp_path):
    """A path that goes through what is no directory cannot be executed."""
    (tmp_path / "file").touch()
    assert fork(refused, tmp_path / "file" / "program", ENOTDIR).result() == "went on"


@clause("exec.eloop", "execve(2)", "ERRORS", errno=ELOOP)
def test_the_way_leads_in_circles(fork, tmp_path):
    """A path of symbolic links that lead to each other cannot be executed."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert fork(refused, tmp_path / "one", ELOOP).result() == "went on"


@clause("exec.enametoolong", "execve(2)", "ERRORS", errno=ENAMETOOLONG)
def test_a_name_is_too_long(fork, tmp_path):
    """A file name of more than 255 bytes is refused; with one byte less it is only not there."""
    assert fork(refused, tmp_path / ("n" * 256), ENAMETOOLONG).result() == "went on"
    assert fork(refused, tmp_path / ("n" * 255), ENOENT).result() == "went on"


@clause("exec.eacces-no-execute-bit", "execve(2)", "ERRORS", errno=EACCES)
def test_a_file_without_execute_permission(fork, tmp_path):
    """A file that nobody may execute is refused, with any privilege."""
    path = tmp_path / "file"
    path.write_bytes(b"#!/bin/true\n")
    path.chmod(0o666)
    assert fork(refused, path, EACCES).result() == "went on"


@clause("exec.eacces-directory", "execve(2)", "ERRORS", errno=EACCES)
def test_a_directory_is_no_program(fork, tmp_path):
    """What is not a regular file is refused."""
    assert fork(refused, tmp_path, EACCES).result() == "went on"


@clause("exec.enoexec", "execve(2)", "ERRORS", errno=ENOEXEC)
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 no program", b"\x7fELF"], ids=["empty", "noise", "cut-off"])
def test_an_unknown_format_is_refused(fork, tmp_path, content):
    """An executable file in no format that the kernel knows is refused."""
    path = tmp_path / "file"
    path.write_bytes(content)
    path.chmod(0o777)
    assert fork(refused, path, ENOEXEC).result() == "went on"


@clause("exec.e2big", "execve(2)", "ERRORS", errno=E2BIG)
def test_an_argument_is_too_long(fork):
    """One argument of 32 pages with its end is refused; one byte shorter it is handed over."""
    limit = 32 * os.sysconf("SC_PAGE_SIZE")
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    if (
        stack != resource.RLIM_INFINITY and stack < 16 * limit
    ):  # a quarter of it is for all arguments and the environment
        untested(f"RLIMIT_STACK is {stack}, and the clause needs {16 * limit}")
    assert fork(refused, sys.executable, E2BIG, "x" * limit).result() == "went on"
    fits = fork(become_program, "import sys; print(len(sys.argv[1]))", "x" * (limit - 1))
    assert printed(fits) == str(limit - 1)


@clause("exec.interpreter", "execve(2)", "Interpreter scripts")
def test_a_script_is_run_by_its_interpreter(fork, tmp_path):
    """A script is run by the program of its first line, with the rest of that line as one argument, the script's path and the arguments."""
    (tmp_path / "python").symlink_to(sys.executable)
    path = tmp_path / "script"
    path.write_text(f"#! {tmp_path}/python -SPcimport sys; print(sys.argv)\nnobody reads this\n")
    path.chmod(0o755)
    assert printed(fork(os.execv, path, ["nobody's", "three", "four"])) == str(["-c", str(path), "three", "four"])


@clause("exec.interpreter-missing-enoent", "execve(2)", "ERRORS", errno=ENOENT)
def test_an_interpreter_that_is_not_there(fork, tmp_path):
    """A script whose interpreter is not there is refused as if it were not there itself."""
    path = tmp_path / "script"
    path.write_text(f"#!{tmp_path}/none\n")
    path.chmod(0o755)
    assert fork(refused, path, ENOENT).result() == "went on"

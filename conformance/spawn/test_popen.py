"""popen(3), pclose(3): a stream from or to a shell command."""

from __future__ import annotations

import os
from errno import EBADF, ECHILD, EINVAL, EMFILE
from select import POLLIN
from signal import SIGTERM

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import fflush, fileno, fread, fwrite, pclose, poll, popen

from ..conftest import TO_START
from ..epoll.conftest import open_all

READ, WRITE = "r", "w"


@clause("popen.reads-output", "popen(3)", "DESCRIPTION")
def test_the_output_is_read(fork):
    """A stream of the type "r" gives what the command writes to its standard output, to its end."""

    def life() -> None:
        stream = popen("echo one; echo two", READ)
        assert fread(stream, 100) == b"one\ntwo\n"
        assert pclose(stream) == 0

    fork(life).result(TO_START)


@clause("popen.writes-input", "popen(3)", "DESCRIPTION")
def test_the_input_is_written(fork, tmp_path):
    """What is written to a stream of the type "w" is the command's standard input, to its end."""
    path = tmp_path / "copy"

    def life() -> None:
        stream = popen(f"cat >'{path}'; echo end >>'{path}'", WRITE)
        fwrite(stream, b"text\n")
        assert pclose(stream) == 0
        assert path.read_text() == "text\nend\n"

    fork(life).result(TO_START)


@clause("popen.shell", "popen(3)", "DESCRIPTION")
def test_a_shell_interprets_the_command(fork):
    """The command is a shell's: words, variables, quotes and pipes are what they are to /bin/sh -c, in the caller's environment."""

    def life() -> None:
        os.environ["WORD"] = "a  b"
        stream = popen('x=1; echo "$WORD" $x | while read -r line; do echo "<$line>"; done', READ)
        assert fread(stream, 100) == b"<a  b 1>\n"
        assert pclose(stream) == 0

    fork(life).result(TO_START)


@clause("popen.other-streams-shared", "popen(3)", "DESCRIPTION")
@pytest.mark.parametrize("type", [READ, WRITE])
def test_the_other_stream_is_the_callers(fork, type):
    """The command's other standard stream is the caller's: its input where output is read, its output where input is written."""

    def life() -> None:
        read_fd, write_fd = os.pipe()
        if type == READ:
            os.dup2(read_fd, 0)
            os.write(write_fd, b"text\n")
            stream = popen('read -r line; echo "<$line>"', READ)
            assert fread(stream, 100) == b"<text>\n"
            assert pclose(stream) == 0
            return
        kept = os.dup(1)
        os.dup2(write_fd, 1)
        stream = popen('read -r line; echo "<$line>"', WRITE)
        fwrite(stream, b"text\n")
        status = pclose(stream)
        os.dup2(kept, 1)
        assert status == 0
        assert os.read(read_fd, 100) == b"<text>\n"

    fork(life).result(TO_START)


@clause("popen.one-direction", "popen(3)", "DESCRIPTION", errno=EBADF)
def test_a_stream_has_one_direction(fork):
    """A stream of the type "r" cannot be written, and one of the type "w" cannot be read."""

    def life() -> None:
        reading, writing = popen("exit 0", READ), popen("exit 0", WRITE)
        assert fwrite(reading, b"!") == 0
        assert fread(writing, 1) == b""
        with fails_with(EBADF):
            os.write(fileno(reading), b"!")
        with fails_with(EBADF):
            os.read(fileno(writing), 1)
        pclose(reading)
        pclose(writing)

    fork(life).result(TO_START)


@clause("popen.type-einval", "popen(3)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("type", ["", "x", "rw", "wr"], ids=["empty", "unknown", "rw", "wr"])
def test_another_type_is_refused(fork, type):
    """A type that is neither for reading nor for writing, or for both, is refused."""

    def life() -> None:
        with fails_with(EINVAL):
            pclose(popen("exit 0", type))

    fork(life).result(TO_START)


@clause("popen.cloexec", "popen(3)", "DESCRIPTION", since="glibc 2.9", level="posix")
def test_close_on_exec_is_asked_for(fork):
    """With the letter "e" the descriptor under the stream has the close-on-exec flag, which it does not have without."""

    def life() -> None:
        for type in (READ, WRITE):
            plain, closing = popen("exit 0", type), popen("exit 0", type + "e")
            assert [os.get_inheritable(fileno(stream)) for stream in (plain, closing)] == [True, False]
            pclose(plain)
            pclose(closing)

    fork(life).result(TO_START)


@clause("popen.block-buffered", "popen(3)", "DESCRIPTION")
def test_output_is_buffered(fork, pipe):
    """What is written to a stream comes to the command when the buffer is full or flushed, and not before."""
    told = pipe()

    def life() -> None:
        os.dup2(told.write_fd, 1)
        stream = popen("read -r line; echo got; cat >/dev/null", WRITE)
        fwrite(stream, b"line\n")
        assert poll({told.read_fd: POLLIN}, 50) == {}
        fflush(stream)
        assert told.read(3) == b"got"
        pclose(stream)

    fork(life).result(TO_START)


@clause("pclose.status", "popen(3)", "RETURN VALUE")
def test_the_status_of_the_command_is_returned(fork):
    """pclose() returns the command's status as wait4(2) has it: of its exit, or of the signal that has killed it."""

    def life() -> None:
        for command, ending in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -SIGTERM)):
            assert os.waitstatus_to_exitcode(pclose(popen(command, READ))) == ending

    fork(life).result(TO_START)


@clause("pclose.waits", "popen(3)", "DESCRIPTION")
def test_the_end_of_the_command_is_waited_for(fork, pipe):
    """pclose() waits for the command to end."""
    go = pipe()

    def life() -> int:
        os.dup2(go.read_fd, 0)
        stream = popen("exec >&-; read -r line; exit 5", READ)
        assert fread(stream, 1) == b""  # the command has closed it
        return os.waitstatus_to_exitcode(pclose(stream))

    child = fork(life)
    child.wait_blocked("wait4", TO_START)
    go.write(b"line\n")
    assert child.result(TO_START) == 5


@clause("pclose.command-not-found-127", "popen(3)", "BUGS")
def test_a_command_that_is_not_found_is_a_status(fork):
    """A command that the shell cannot execute is seen by its status alone, which is 127."""

    def life() -> int:
        stream = popen("exec 2>/dev/null; /no/such/program", READ)
        return os.waitstatus_to_exitcode(pclose(stream))

    assert fork(life).result(TO_START) == 127


@clause("pclose.echild", "popen(3)", "ERRORS", errno=ECHILD)
def test_a_status_that_somebody_else_took(fork):
    """pclose() fails when the command's status cannot be had, as where it was waited for already."""

    def life() -> None:
        stream = popen("exit 0", READ)
        os.wait()
        with fails_with(ECHILD):
            pclose(stream)

    fork(life).result(TO_START)


@clause("popen.emfile", "popen(3)", "ERRORS", errno=EMFILE)
def test_a_process_with_all_its_descriptors_opens_no_command(fork):
    """popen() fails when no pipe can be made, with the error of pipe(2)."""

    def life() -> None:
        open_all()
        with fails_with(EMFILE):
            popen("exit 0", READ)

    fork(life).result(TO_START)


@clause("popen.earlier-streams-closed", "popen(3p)", "DESCRIPTION")
def test_a_command_has_no_earlier_stream(fork):
    """Streams of earlier calls that are open are closed in a new command."""

    def life() -> None:
        first = popen("while read -r line; do :; done", WRITE)
        fd = fileno(first)
        if fd > 9:
            untested("RLIMIT_NOFILE, or so many open descriptors, leaves none below 10")
        second = popen(f"{{ echo open >&{fd}; }} 2>/dev/null && exit 1; exit 4", READ)
        assert os.waitstatus_to_exitcode(pclose(second)) == 4
        assert pclose(first) == 0

    fork(life).result(TO_START)

"""popen(3), pclose(3): a stream from or to a shell command."""

from __future__ import annotations

import os
from errno import EBADF, ECHILD, EINVAL, EMFILE
from select import POLLIN
from signal import SIGTERM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import fflush, fileno, fread, fwrite, pclose, poll, popen

from ..conftest import TO_START
from ..epoll.conftest import open_all

READ, WRITE = "r", "w"


@clause("popen.reads-output", "popen(3)", "DESCRIPTION")
def test_type_r_reads_output(fork):
    """A stream of popen() with type "r" returns the standard output of the command up to its end."""

    def life() -> None:
        stream = popen("echo one; echo two", READ)
        assert fread(stream, 100) == b"one\ntwo\n"
        assert pclose(stream) == 0

    fork(life).result(timeout=TO_START)


@clause("popen.writes-input", "popen(3)", "DESCRIPTION")
def test_type_w_writes_input(fork, tmp_path):
    """Data written to a stream of popen() with type "w" is the standard input of the command."""
    path = tmp_path / "copy"

    def life() -> None:
        stream = popen(f"cat >'{path}'; echo end >>'{path}'", WRITE)
        fwrite(stream, b"text\n")
        assert pclose(stream) == 0
        assert path.read_text() == "text\nend\n"

    fork(life).result(timeout=TO_START)


@clause("popen.shell", "popen(3)", "DESCRIPTION")
def test_shell_interprets_command(fork):
    """popen() passes the command to /bin/sh -c, which expands variables, quotes and pipes, with the caller's
    environment.
    """

    def life() -> None:
        os.environ["WORD"] = "a  b"
        stream = popen('x=1; echo "$WORD" $x | while read -r line; do echo "<$line>"; done', READ)
        assert fread(stream, 100) == b"<a  b 1>\n"
        assert pclose(stream) == 0

    fork(life).result(timeout=TO_START)


@clause("popen.other-streams-shared", "popen(3)", "DESCRIPTION")
@pytest.mark.parametrize("type", [READ, WRITE])
def test_other_stream_is_shared_with_caller(fork, type):
    """The command of popen() shares the other standard stream with the caller: its input for type "r", its output
    for type "w".
    """

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

    fork(life).result(timeout=TO_START)


@clause("popen.one-direction", "popen(3)", "DESCRIPTION", errno=EBADF)
def test_stream_is_unidirectional(fork):
    """A stream of popen() with type "r" cannot be written, and one with type "w" cannot be read: write() and read()
    fail with EBADF.
    """

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

    fork(life).result(timeout=TO_START)


@clause("popen.type-einval", "popen(3)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("type", ["", "x", "rw", "wr"], ids=["empty", "unknown", "rw", "wr"])
def test_invalid_type_fails(fork, type):
    """popen() fails with EINVAL for a type that is not "r" or "w", or is both."""

    def life() -> None:
        with fails_with(EINVAL):
            pclose(popen("exit 0", type))

    fork(life).result(timeout=TO_START)


@clause("popen.cloexec", "popen(3)", "DESCRIPTION", since="glibc 2.9", level="posix")
def test_letter_e_sets_close_on_exec(fork):
    """popen() with the letter "e" in the type sets close-on-exec on the descriptor; without it the flag is not set."""

    def life() -> None:
        for type in (READ, WRITE):
            plain, closing = popen("exit 0", type), popen("exit 0", type + "e")
            assert [os.get_inheritable(fileno(stream)) for stream in (plain, closing)] == [True, False]
            pclose(plain)
            pclose(closing)

    fork(life).result(timeout=TO_START)


@clause("popen.block-buffered", "popen(3)", "DESCRIPTION")
def test_output_is_block_buffered(fork, pipe):
    """Data written to a stream of popen() reaches the command only when the buffer is flushed."""
    answer = pipe()

    def life() -> None:
        os.dup2(answer.write_fd, 1)
        stream = popen("read -r line; echo got; cat >/dev/null", WRITE)
        fwrite(stream, b"line\n")
        assert poll({answer.read_fd: POLLIN}, 50) == {}
        fflush(stream)
        assert answer.read(3) == b"got"
        pclose(stream)

    fork(life).result(timeout=TO_START)


@clause("pclose.status", "popen(3)", "RETURN VALUE")
def test_pclose_returns_status(fork):
    """pclose() returns the wait status of the command, for an exit and for termination by a signal."""

    def life() -> None:
        for command, ending in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -SIGTERM)):
            assert os.waitstatus_to_exitcode(pclose(popen(command, READ))) == ending

    fork(life).result(timeout=TO_START)


@clause("pclose.waits", "popen(3)", "DESCRIPTION")
def test_pclose_waits_for_command(fork, pipe):
    """pclose() waits for the command to terminate."""
    go = pipe()

    def life() -> int:
        os.dup2(go.read_fd, 0)
        stream = popen("exec >&-; read -r line; exit 5", READ)
        assert fread(stream, 1) == b""  # the command has closed its output
        return os.waitstatus_to_exitcode(pclose(stream))

    child = fork(life)
    child.wait_blocked("wait4", timeout=TO_START)
    go.write(b"line\n")
    assert child.result(timeout=TO_START) == 5


@clause("pclose.command-not-found-127", "popen(3)", "BUGS")
def test_command_not_found_gives_status_127(fork):
    """If the shell cannot execute the command, pclose() returns exit status 127."""

    def life() -> int:
        stream = popen("exec 2>/dev/null; /no/such/program", READ)
        return os.waitstatus_to_exitcode(pclose(stream))

    assert fork(life).result(timeout=TO_START) == 127


@clause("pclose.echild", "popen(3)", "ERRORS", errno=ECHILD)
def test_pclose_of_reaped_command_fails(fork):
    """pclose() fails with ECHILD if the command has already been waited for."""

    def life() -> None:
        stream = popen("exit 0", READ)
        os.wait()
        with fails_with(ECHILD):
            pclose(stream)

    fork(life).result(timeout=TO_START)


@clause("popen.emfile", "popen(3)", "ERRORS", errno=EMFILE)
def test_descriptor_limit_fails(fork):
    """popen() fails with EMFILE if the limit of open descriptors permits no pipe."""

    def life() -> None:
        open_all()
        with fails_with(EMFILE):
            popen("exit 0", READ)

    fork(life).result(timeout=TO_START)


@clause("popen.earlier-streams-closed", "popen(3p)", "DESCRIPTION")
def test_earlier_streams_are_closed_in_command(fork):
    """Streams of earlier popen() calls that are still open are closed in the new command."""

    def life() -> None:
        first = popen("while read -r line; do :; done", WRITE)
        fd = fileno(first)
        if fd > 9:
            untested(Need.PROCESS_LIMITS, "RLIMIT_NOFILE, or so many open descriptors, leaves none below 10")
        second = popen(f"{{ echo open >&{fd}; }} 2>/dev/null && exit 1; exit 4", READ)
        assert os.waitstatus_to_exitcode(pclose(second)) == 4
        assert pclose(first) == 0

    fork(life).result(timeout=TO_START)

"""mkfifo(3) and fifo(7): programs that share only the path of a FIFO."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from pytest_ipc import Child, Need, clause, untested

from ..conftest import TO_START, succeeded


@pytest.fixture
def installed(fork):
    """Run an installed program: installed(name, *args, stdin=None) -> Child. *stdin* is a descriptor."""

    def run(name: str, *args: object, stdin: int | None = None) -> Child[Any]:
        path = shutil.which(name)
        if path is None:
            untested(Need.PROGRAMS, f"needs the program {name}")

        def child() -> None:
            if stdin is not None:
                os.dup2(stdin, 0)
            os.execv(path, [name, *map(str, args)])

        started: Child[Any] = fork(child)
        return started

    return run


@clause("fifo.unrelated-processes", "mkfifo(3)", "DESCRIPTION")
def test_unrelated_programs_communicate_by_path(fifo, program):
    """Programs that share only the path open a FIFO like a regular
    file, and one reads to end of file what the other writes.
    """
    path = fifo().path
    reader = program("import sys; print(open(sys.argv[1]).read())", path)
    reader.wait_blocked("openat", timeout=TO_START)
    writer = program("import sys; open(sys.argv[1], 'w').write('by name alone')", path)
    succeeded(writer)
    succeeded(reader)
    assert reader.output == "by name alone\n"


@clause("fifo.many-writers-one-reader", "fifo(7)", "DESCRIPTION")
def test_one_reader_receives_from_several_writers(fifo, installed):
    """Several programs can have a FIFO open for writing, and one reader receives the data of all of them."""
    path = fifo().path
    reader = installed("sh", "-c", 'exec cat < "$1"', "sh", path)
    reader.wait_blocked("openat", timeout=TO_START)
    # The first writer keeps the FIFO open while the second writes, so the reader sees no end of file between.
    keeper = 'exec 3> "$1"; shift; "$@"; echo here >&3'
    writer = installed("sh", "-c", keeper, "sh", path, "sh", "-c", 'echo there > "$1"', "sh", path)
    succeeded(writer)
    succeeded(reader)
    assert reader.output == "there\nhere\n"


@clause("fifo.shell-redirection", "mkfifo(3)", "DESCRIPTION")
def test_shell_redirection_through_a_fifo(fifo, installed):
    """A shell that redirects output to a FIFO blocks until another
    redirects input from it, which then reads the lines.
    """
    path = fifo().path
    writer = installed("sh", "-c", 'echo one > "$1" && echo written', "sh", path)
    writer.wait_blocked("openat")
    reader = installed("sh", "-c", 'while read -r line; do echo "got $line"; done < "$1"', "sh", path)
    succeeded(writer)
    succeeded(reader)
    assert (writer.output, reader.output) == ("written\n", "got one\n")


@clause("fifo.tee-through-fifo", "fifo(7)", "DESCRIPTION")
def test_tee_copies_into_a_fifo(fifo, installed, pipe):
    """tee(1) copies its input to its output and to a FIFO, from which another program reads it."""
    path, source = fifo().path, pipe()
    tee = installed("tee", path, stdin=source.read_fd)
    tee.wait_blocked("openat")
    reader = installed("sh", "-c", 'exec cat < "$1"', "sh", path)
    source.write(b"line one\nline two\n")
    source.close_write()
    succeeded(tee)
    succeeded(reader)
    assert tee.output == reader.output == "line one\nline two\n"

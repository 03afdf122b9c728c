"""pipe(2) with fork(2): one pipe, several processes."""

from __future__ import annotations

import os
import sys
from os import O_CLOEXEC, O_NONBLOCK

from pytest_ipc import clause
from pytest_ipc.kernel import read, write


@clause("pipe.parent-to-child", "pipe(2)", "EXAMPLES")
def test_child_reads_from_parent(pipe, fork):
    """A child reads from the inherited read end what its parent writes."""
    p = pipe()

    def child() -> bytes:
        p.close_write()
        return read(p.read_fd, 100)

    reader = fork(child)
    p.write(b"to the child")
    assert reader.result() == b"to the child"


@clause("pipe.child-to-parent", "pipe(2)", "EXAMPLES")
def test_parent_reads_from_child(pipe, fork):
    """A parent reads what its child writes to the inherited write end, and then end of file."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    child = fork(write, p.write_fd, b"to the parent")
    p.close_write()
    assert child.result() == 13
    assert (p.read(), p.read()) == (b"to the parent", b"")


@clause("pipe.two-pipes-two-ways", "pipe(7)", "DESCRIPTION")
def test_two_pipes_are_bidirectional(pipe, fork):
    """Two processes exchange requests and replies over two pipes, one per direction, until end of file."""
    requests, replies = pipe(), pipe()

    def ask() -> list[bytes]:
        answers = []
        for question in (b"one", b"two", b"three"):
            requests.write(question)
            answers.append(replies.read())
        return answers

    def answer() -> str:
        requests.close_write()
        while question := requests.read():
            replies.write(question.upper())
        return "hung up"

    asker, answerer = fork(ask), fork(answer)
    requests.close_write()
    assert asker.result() == [b"ONE", b"TWO", b"THREE"]
    assert answerer.result() == "hung up"


@clause("pipe.pipeline-of-siblings", "pipe(7)", "DESCRIPTION")
def test_two_programs_form_a_pipeline(pipe, fork):
    """Two programs with the ends of a pipe as standard output and input run as a pipeline to end of file."""
    p = pipe()

    def run(end: int, standard: int, source: str) -> None:
        os.dup2(end, standard)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", source])

    left = fork(run, p.write_fd, 1, "for number in range(1000): print(number)")
    right = fork(run, p.read_fd, 0, "import sys; print(sum(map(int, sys.stdin)))")
    p.close_read()
    p.close_write()
    assert (left.wait(timeout=60), right.wait(timeout=60)) == (0, 0), left.output + right.output
    assert right.output == "499500\n"


@clause("pipe.fork-shared", "pipe(2)", "DESCRIPTION")
def test_several_children_share_one_pipe(pipe, fork):
    """Several children write to one inherited pipe, and the data of each are read whole."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    words = [f"<{number}>".encode() for number in range(6)]
    for child in [fork(write, p.write_fd, word) for word in words]:
        assert child.result() == 3
    data = p.read()
    assert sorted(data[start : start + 3] for start in range(0, len(data), 3)) == words


@clause("pipe.each-byte-to-one-reader", "pipe(2)", "DESCRIPTION")
def test_several_readers_share_the_bytes(pipe, fork):
    """Several readers of one pipe receive different bytes; each byte is read once."""
    p = pipe()
    readers = [fork(read, p.read_fd, 1) for _ in range(4)]
    for reader in readers:
        reader.wait_blocked("read")
    p.write(b"abcd")
    assert sorted(reader.result() for reader in readers) == [b"a", b"b", b"c", b"d"]

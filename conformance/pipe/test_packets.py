"""pipe2(2), O_DIRECT: packet mode."""

from __future__ import annotations

import os
from collections.abc import Callable
from fcntl import F_GETFL, F_SETFL, fcntl
from os import O_CLOEXEC, O_DIRECT, O_NONBLOCK

import pytest

from pytest_ipc import Pipe, clause, disputed
from pytest_ipc.kernel import PIPE_BUF, pipe2, read, write


@pytest.fixture
def packet_pipe(ipc_scope) -> Callable[[], Pipe]:
    """Create a pipe in packet mode with non-blocking ends; an error of pipe2() is raised in the test."""
    return lambda: Pipe(*pipe2(O_DIRECT | O_NONBLOCK | O_CLOEXEC), scope=ipc_scope.scope)


@clause("pipe2.packet-preserves", "pipe(2)", "O_DIRECT", since="3.4")
def test_read_returns_one_packet(packet_pipe):
    """In packet mode each write() is a packet and read() returns one packet, whatever its size argument."""
    packets = packet_pipe()
    for packet in (b"first", b"2", b"the third"):
        packets.write(packet)
    assert [packets.read(), packets.read(), packets.read()] == [b"first", b"2", b"the third"]


@clause("pipe2.packet-excess-discarded", "pipe(2)", "O_DIRECT", since="3.4")
def test_short_read_discards_the_rest_of_the_packet(packet_pipe):
    """In packet mode read() with a smaller size returns that part of the packet and discards the rest."""
    packets = packet_pipe()
    packets.write(b"0123456789")
    packets.write(b"next")
    assert read(packets.read_fd, 4) == b"0123"
    assert read(packets.read_fd, 4) == b"next"


@clause(
    "pipe2.packet-split-at-pipe_buf",
    "pipe(2)",
    "O_DIRECT",
    since="3.4",
    disputed="packets are as long as a page where pages are larger than PIPE_BUF",
)
def test_a_long_write_is_split_into_packets(packet_pipe, page):
    """In packet mode write() of more than PIPE_BUF bytes is split into packets of at most PIPE_BUF bytes, in order."""
    packets = packet_pipe()
    data = os.urandom(page + 100)
    assert write(packets.write_fd, data) == len(data)
    got = [read(packets.read_fd, 2 * page)]
    while sum(map(len, got)) < len(data):
        got.append(read(packets.read_fd, 2 * page))
    assert b"".join(got) == data
    lengths = [len(packet) for packet in got]
    if page > PIPE_BUF and lengths == [page, 100]:
        disputed(manual="packets of at most PIPE_BUF bytes", linux="splits at the page size")
    assert lengths == [PIPE_BUF] * (page // PIPE_BUF) + [100]


@clause("pipe2.packet-of-pipe_buf-is-whole", "pipe(2)", "O_DIRECT", since="3.4")
def test_packet_of_pipe_buf_bytes_is_whole(packet_pipe):
    """In packet mode write() of exactly PIPE_BUF bytes is one packet, which read() of PIPE_BUF bytes returns whole."""
    packets = packet_pipe()
    packets.write(b"x" * PIPE_BUF)
    packets.write(b"y")
    assert read(packets.read_fd, PIPE_BUF) == b"x" * PIPE_BUF
    assert read(packets.read_fd, PIPE_BUF) == b"y"


@clause("pipe2.packet-zero-length-none", "pipe(2)", "O_DIRECT", since="3.4")
def test_zero_length_makes_no_packet(packet_pipe):
    """In packet mode write() of 0 bytes makes no packet and read() of 0 bytes consumes none."""
    packets = packet_pipe()
    packets.write(b"")
    packets.write(b"packet")
    assert read(packets.read_fd, 0) == b""
    assert packets.read() == b"packet"


@clause("pipe2.packet-toggle-fcntl", "pipe(2)", "O_DIRECT", since="4.5")
def test_packet_mode_is_set_by_f_setfl(pipe):
    """fcntl() with F_SETFL sets and clears O_DIRECT for later writes, and F_GETFL returns it."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    stream = fcntl(p.write_fd, F_GETFL)
    fcntl(p.write_fd, F_SETFL, stream | O_DIRECT)
    assert fcntl(p.write_fd, F_GETFL) & O_DIRECT
    p.write(b"one")
    p.write(b"two")
    assert [p.read(), p.read()] == [b"one", b"two"]
    fcntl(p.write_fd, F_SETFL, stream)
    assert not fcntl(p.write_fd, F_GETFL) & O_DIRECT
    p.write(b"one")
    p.write(b"two")
    assert p.read() == b"onetwo"

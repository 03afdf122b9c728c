"""pipe2(2), O_DIRECT: pipes that keep the boundaries of writes."""

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
    """Make a pipe in packet mode, whose ends do not block. That it cannot be made is for the clause to tell."""
    return lambda: Pipe(*pipe2(O_DIRECT | O_NONBLOCK | O_CLOEXEC), scope=ipc_scope.scope)


@clause("pipe2.packet-preserves", "pipe(2)", "O_DIRECT", since="3.4")
def test_a_read_gives_one_packet(packet_pipe):
    """Each write is a packet, and a read gives one packet however much it asks for."""
    packets = packet_pipe()
    for packet in (b"first", b"2", b"the third"):
        packets.write(packet)
    assert [packets.read(), packets.read(), packets.read()] == [b"first", b"2", b"the third"]


@clause("pipe2.packet-excess-discarded", "pipe(2)", "O_DIRECT", since="3.4")
def test_what_a_short_read_leaves_of_a_packet_is_lost(packet_pipe):
    """A read that asks for less than the next packet gets so much of it, and the rest of that packet is discarded."""
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
    """A write of more than PIPE_BUF bytes becomes several packets of at most PIPE_BUF bytes, in order."""
    packets = packet_pipe()
    data = os.urandom(page + 100)
    assert write(packets.write_fd, data) == len(data)
    got = [read(packets.read_fd, 2 * page)]
    while sum(map(len, got)) < len(data):
        got.append(read(packets.read_fd, 2 * page))
    assert b"".join(got) == data
    lengths = [len(packet) for packet in got]
    if page > PIPE_BUF and lengths == [page, 100]:
        disputed(manual="packets of at most PIPE_BUF bytes", linux="makes them as long as a page")
    assert lengths == [PIPE_BUF] * (page // PIPE_BUF) + [100]


@clause("pipe2.packet-of-pipe_buf-is-whole", "pipe(2)", "O_DIRECT", since="3.4")
def test_a_packet_of_pipe_buf_bytes_is_one(packet_pipe):
    """A write of exactly PIPE_BUF bytes is one packet, and a read of PIPE_BUF bytes is enough for it."""
    packets = packet_pipe()
    packets.write(b"x" * PIPE_BUF)
    packets.write(b"y")
    assert read(packets.read_fd, PIPE_BUF) == b"x" * PIPE_BUF
    assert read(packets.read_fd, PIPE_BUF) == b"y"


@clause("pipe2.packet-zero-length-none", "pipe(2)", "O_DIRECT", since="3.4")
def test_there_are_no_empty_packets(packet_pipe):
    """A write of 0 bytes makes no packet, and a read of 0 bytes takes none."""
    packets = packet_pipe()
    packets.write(b"")
    packets.write(b"packet")
    assert read(packets.read_fd, 0) == b""
    assert packets.read() == b"packet"


@clause("pipe2.packet-toggle-fcntl", "pipe(2)", "O_DIRECT", since="4.5")
def test_packet_mode_can_be_switched(pipe):
    """F_SETFL turns packet mode on for the writes that follow, and off again; F_GETFL shows it."""
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

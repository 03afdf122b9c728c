"""Calls on sockets that the stdlib lacks: arguments are checked, results are those of the kernel."""

from __future__ import annotations

import os
import socket
import sys
from errno import EBADF, ENODEV, ENOPROTOOPT
from socket import AF_UNIX, SOCK_STREAM, SOL_SOCKET

import pytest

from pytest_ipc import fails_with
from pytest_ipc.kernel import (
    SUN_PATH_BYTES,
    Ucred,
    accept4,
    bind,
    getsockname,
    getsockopt,
    netlink,
    peer_credentials,
    recv,
    send,
    socketpair,
    unix_address,
    unix_sockets,
)


def test_ucred_packs_and_unpacks():
    own = Ucred.own()
    assert (own.pid, Ucred.unpack(own.pack()), len(own.pack())) == (os.getpid(), own, Ucred.SIZE)
    assert Ucred.unpack(Ucred(1, 2**32 - 1, 2).pack() + b"more") == Ucred(1, 2**32 - 1, 2)
    with pytest.raises(ValueError, match="struct ucred must have at least 12 bytes, not 4"):
        Ucred.unpack(bytes(4))
    for wrong in (Ucred(2**31, 0, 0), Ucred(0, -1, 0), Ucred(0, 0, 2**32)):
        with pytest.raises(OverflowError, match="range of the C type"):
            wrong.pack()


def test_unix_address_contains_exactly_the_path():
    assert unix_address(b"ab\0") == AF_UNIX.to_bytes(2, sys.byteorder) + b"ab\0"
    assert SUN_PATH_BYTES == 108


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_value_beyond_int_raises_overflow_error(value):
    for call in (
        lambda: socketpair(value, SOCK_STREAM),
        lambda: socketpair(AF_UNIX, value),
        lambda: accept4(value),
        lambda: bind(value, b""),
        lambda: recv(value, 1),
        lambda: send(value, b"x"),
        lambda: getsockopt(0, value, 0),
    ):
        with pytest.raises(OverflowError, match="range of the C type"):
            call()


def test_closed_descriptor_fails_with_ebadf():
    for call in (lambda: accept4(-1), lambda: recv(-1, 1), lambda: send(-1, b""), lambda: peer_credentials(-1)):
        with fails_with(EBADF):
            call()


def test_getsockopt_returns_the_length_of_the_option():
    with socket.socket(AF_UNIX) as alone:
        assert getsockopt(alone.fileno(), SOL_SOCKET, socket.SO_TYPE, 100) == SOCK_STREAM.to_bytes(4, sys.byteorder)
        with fails_with(ENOPROTOOPT):
            getsockopt(alone.fileno(), SOL_SOCKET, 9999)
        assert getsockname(alone.fileno(), 0) == (b"", 2)


def test_unix_sockets_parses_any_path(tmp_path, monkeypatch):
    if unix_sockets() is None:
        pytest.skip("there is no /proc/net/unix")
    monkeypatch.chdir(tmp_path)
    for name in ("with  blanks ", "00000000: 1 2 3", "\udcff"):
        with socket.socket(AF_UNIX) as server:
            server.bind(os.fsencode(name))
            (row,) = (row for row in unix_sockets() or () if row.inode == os.fstat(server.fileno()).st_ino)
            assert (row.path, row.type, row.state) == (os.fsencode(name), SOCK_STREAM, 1)


def test_rtnetlink_error_raises_os_error(monkeypatch):
    monkeypatch.setattr("pytest_ipc.kernel.netlink.socket.if_nametoindex", lambda _name: 0x7FFF_0000)
    with fails_with(ENODEV):
        netlink.is_up("nothing")

"""Sockets with the stdlib's own servers and clients: ours are found and used by them, theirs by us."""

from __future__ import annotations

import os
import socket
import socketserver
from multiprocessing import connection
from pathlib import Path

import pytest

from pytest_ipc.kernel import Ucred


def test_send_fds_of_the_stdlib_is_received(sockets, pipe):
    left, right = sockets.pair()
    ends = pipe()
    socket.send_fds(left.socket, [b"data"], [ends.write_fd, ends.read_fd])
    message = right.receive_message(fds=2)
    message.fds[0].write(b"through")
    assert (message.data, message.fds[1].read()) == (b"data", b"through")


def test_recv_fds_of_the_stdlib_receives_ours(sockets, pipe):
    left, right = sockets.pair()
    ends = pipe()
    left.send(b"data", fds=[ends.writer])
    data, fds, _, _ = socket.recv_fds(right.socket, 10, 1)
    with os.fdopen(fds[0], "wb") as writer:
        writer.write(b"through")
    assert (data, ends.read()) == (b"data", b"through")


@pytest.mark.parametrize("family", ["unix", "inet"])
def test_multiprocessings_client_speaks_to_our_listener(sockets, fork, family):
    listener = sockets.listen_unix() if family == "unix" else sockets.listen_inet()
    address = str(listener.path) if family == "unix" else listener.address

    def client() -> object:
        with connection.Client(address) as theirs:
            theirs.send_bytes(b"question")
            return theirs.recv_bytes()

    child = fork(client)
    server = listener.accept()
    assert server.receive() == b"\0\0\0\x08question"  # its framing: the length, in four bytes
    server.send(b"\0\0\0\x06answer")
    assert child.result() == b"answer"


def test_our_client_speaks_to_multiprocessings_listener(sockets, fork, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short

    def serve() -> bytes:
        with connection.Listener("theirs", "AF_UNIX") as theirs:
            print("listening", flush=True)
            with theirs.accept() as accepted:
                accepted.send_bytes(b"answer")
                return accepted.recv_bytes()

    child = fork(serve)
    child.wait_blocked("accept")
    client = sockets.connect("theirs")
    assert client.receive() == b"\0\0\0\x06answer"
    client.send(b"\0\0\0\x08question")
    assert child.result() == b"question"


def test_our_client_speaks_to_socketserver(sockets, fork):
    class Upper(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline().upper())

    reader, writer = sockets.pair()

    def serve() -> None:
        with socketserver.TCPServer(("127.0.0.1", 0), Upper) as server:
            writer.send(str(server.server_address[1]).encode())
            server.handle_request()

    child = fork(serve)
    client = sockets.connect(("127.0.0.1", int(reader.receive())))
    client.send(b"whisper\n")
    assert client.receive() == b"WHISPER\n"
    client.close()
    child.result()


def test_peer_credentials_equal_those_of_the_stdlib(sockets):
    left, _right = sockets.pair()
    theirs = left.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, Ucred.SIZE)
    assert Ucred.unpack(theirs) == left.peer_credentials()


def test_a_path_that_the_stdlib_bound_is_connected_to(sockets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind("theirs")
        theirs.listen()
        client = sockets.connect(Path("theirs"))
        with theirs.accept()[0] as accepted:
            accepted.sendall(b"hello")
        assert client.receive() == b"hello"

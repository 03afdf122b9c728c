"""C programs as peers: descriptors in both directions, an echo server, an abstract name, and credentials."""

from __future__ import annotations

import os

from pytest_ipc.kernel import Deadline


def test_a_program_hands_over_a_descriptor(sockets, peer, tmp_path):
    (tmp_path / "file").write_text("begun, ")
    listener = sockets.listen_unix()
    program = peer("socket", "pass", listener.path, tmp_path / "file")
    server = listener.accept()
    message = server.receive_message(fds=1)
    assert message.data == b"C"
    message.fds[0].write(b"and gone on")
    assert (tmp_path / "file").read_text() == "begun, and gone on"
    assert server.peer_credentials().pid == program.pid
    server.close()
    assert program.wait() == 0, program.output


def test_a_program_takes_a_descriptor(sockets, peer, pipe):
    listener, ends = sockets.listen_unix(), pipe()
    program = peer("socket", "take", listener.path)
    listener.accept().send(b".", fds=[ends.writer])
    assert ends.read() == b"from C"
    assert program.wait() == 0, program.output


def test_a_program_echoes(sockets, peer):
    program = peer("socket", "echo")
    assert Deadline(30).until(lambda: program.output.endswith("\n")), program.output
    client = sockets.connect(("127.0.0.1", int(program.output)))
    data = os.urandom(50_000)
    client.socket.sendall(data[:20_000])
    got = client.receive()
    while len(got) < 20_000:
        got += client.receive()
    client.socket.sendall(data[20_000:])
    client.shutdown()
    while piece := client.receive():
        got += piece
    assert got == data
    assert program.wait() == 0, program.output


def test_a_program_asks(sockets, peer):
    listener = sockets.listen_inet()
    program = peer("socket", "ask", listener.address[1])
    with listener.accept() as server:
        assert [server.receive(), server.receive()] == [b"ask", b""]
        server.send(b"answered")
    assert (program.wait(), program.output) == (0, "answered")


def test_program_reads_our_credentials(sockets, peer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = peer("socket", "who", "there")
    program.wait_blocked("accept")
    sockets.connect("there")
    assert (program.wait(), program.output) == (0, f"{os.getpid()} {os.geteuid()} {os.getegid()}\n")


def test_a_program_finds_an_abstract_name(sockets, peer):
    listener = sockets.listen_unix(abstract=True)
    program = peer("socket", "abstract", listener.address[1:].decode())
    with listener.accept() as server:
        server.send(b"found")
    assert (program.wait(), program.output) == (0, "found")

"""Two network namespaces: they reach only each other, this process does not move, and nothing remains."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

import pytest

from pytest_ipc import NotAllowedHere, TwoHosts, scope
from pytest_ipc.kernel import CLONE_NEWNET, capabilities, netlink, setns

from ..leaks import Snapshot


def here() -> str:
    return os.readlink("/proc/self/ns/net")


def living(namespace: str) -> list[int]:
    """Return the processes in that network namespace, or with a descriptor of it."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            held = set()
            with suppress(OSError):  # it has ended, or is another user's
                for link in (
                    f"/proc/{name}/ns/net",
                    *(f"/proc/{name}/fd/{fd}" for fd in os.listdir(f"/proc/{name}/fd")),
                ):
                    with suppress(FileNotFoundError):  # the listing's own
                        held.add(os.readlink(link))
            if namespace in held:
                found.append(int(name))
    return found


def test_the_hosts_are_two_and_neither_is_this_one(two_hosts):
    before = here()
    hosts = two_hosts()
    places = [hosts.left.fork(here).result(), hosts.right.fork(here).result()]
    assert len({before, *places}) == 3
    assert here() == before
    assert repr(hosts) == "<TwoHosts 192.0.2.1 192.0.2.2>"
    assert hosts.own_user == (not (capabilities() or 0) & 1 << 21)


def test_veth_pair_that_does_not_come_up_is_not_allowed_here(monkeypatch):
    monkeypatch.setattr("pytest_ipc.resources.two_hosts.DEFAULT_TIMEOUT", 0.1)
    monkeypatch.setattr(netlink, "is_up", lambda _device: False)
    with pytest.raises(NotAllowedHere, match="a veth pair needs devices that come up within"):
        TwoHosts.create()


def test_kernel_that_does_not_respond_is_not_allowed_here(monkeypatch):
    monkeypatch.setattr("pytest_ipc.resources.two_hosts.DEFAULT_TIMEOUT", 0.05)
    monkeypatch.setattr(netlink, "add_veth", lambda *_arguments: signal.pause())
    with pytest.raises(NotAllowedHere, match=r"a veth pair needs a kernel that responds: waited .* to end; it was"):
        TwoHosts.create()


def test_children_of_one_host_share_it(two_hosts):
    hosts = two_hosts()
    assert hosts.left.fork(here).result() == hosts.left.fork(here).result()


def test_each_host_has_a_cable_and_a_loopback_device_alone(two_hosts):
    hosts = two_hosts()

    def devices() -> list[str]:
        return sorted(name for _, name in socket.if_nameindex())

    for host in (hosts.left, hosts.right):
        found = set(host.fork(devices).result())
        assert {"veth", "lo"} <= found
        # A kernel with tunnels built in puts their devices, switched off, in every namespace.
        assert all(name.endswith("0") for name in found - {"veth", "lo"})
        assert host.fork(netlink.is_up, "veth").result()


def test_two_pairs_of_hosts_are_separate(two_hosts, sockets):
    one, other = two_hosts(), two_hosts()

    def serve() -> bytes:
        with sockets.listen_inet(one.left.address, 7000) as server:
            print("ready", flush=True)
            received: bytes = server.accept().receive()
            return received

    def refused() -> bool:
        try:
            sockets.connect((one.left.address, 7000), timeout=1)
        except ConnectionRefusedError:
            return True
        return False

    server = one.left.fork(serve)
    server.wait_blocked("poll")
    assert other.right.fork(refused).result()
    one.right.fork(lambda: sockets.connect((one.left.address, 7000)).send(b"x")).result()
    assert server.result() == b"x"


def test_child_on_a_host_equals_a_child_of_fork(two_hosts, pipe):
    hosts = two_hosts()
    ends = pipe()
    hosts.left.fork(ends.write, b"left").result()
    hosts.right.fork.keeping(ends.write_fd)(os.write, ends.write_fd, b"right").result()
    assert ends.read() == b"leftright"


def test_exception_on_a_host_is_raised(two_hosts):
    with pytest.raises(ConnectionRefusedError):
        two_hosts().left.fork(socket.create_connection, ("127.0.0.1", 9)).result()


def test_hosts_leak_nothing(temporary_root, two_hosts):
    two_hosts().close()  # or the test is skipped
    before = Snapshot.take(temporary_root)
    with scope() as ipc:
        hosts = ipc.two_hosts()
        places = [host.fork(here).result() for host in (hosts.left, hosts.right)]
        idle = hosts.left.fork(signal.pause)
        assert os.getpid() in living(places[0])
    assert [living(place) for place in places] == [[], []]
    assert idle.closed
    assert before.left(Snapshot.take(temporary_root)) == []


def test_a_closed_host_is_refused(two_hosts):
    hosts = two_hosts()
    child = hosts.left.fork(signal.pause)
    hosts.close()
    assert child.closed
    for host in (hosts.left, hosts.right):
        with pytest.raises(ValueError, match=r"<Host 192.0.2.\d> is closed"):
            host.fork(here)
    hosts.close()


def test_it_works_without_a_scope():
    try:
        hosts = TwoHosts.create()
    except NotAllowedHere as error:
        pytest.skip(str(error))
    with hosts, hosts.right.fork(here) as child:
        assert child.result() != here()


def test_missing_permission_is_reported_without_a_leak(monkeypatch, temporary_root):
    from pytest_ipc.resources import two_hosts as module

    def refuse(_flags: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "unshare", refuse)
    before = Snapshot.take(temporary_root)
    with pytest.raises(NotAllowedHere, match=r"network namespaces need CAP_SYS_ADMIN.*: No space left on device"):
        TwoHosts.create()
    assert before.left(Snapshot.take(temporary_root)) == []


def test_failed_veth_pair_is_reported(monkeypatch, two_hosts):
    two_hosts().close()  # or the test is skipped

    def refuse(*_arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(netlink, "add_veth", refuse)
    with pytest.raises(NotAllowedHere, match="veth devices: Operation not supported"):
        TwoHosts.create()


def test_missing_device_is_an_error(two_hosts):
    two_hosts().close()
    with pytest.raises(OSError, match=r"no interface with this name|No such device"):
        netlink.set_up("no-such-device")


def test_child_may_leave_its_host(two_hosts):
    """A child may return to the initial namespace if it has the privilege."""
    hosts = two_hosts()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def leave() -> str:
        try:
            setns(home, CLONE_NEWNET)
        except PermissionError:
            return "refused"
        return here()

    try:
        assert hosts.left.fork.keeping(home)(leave).result() in (here(), "refused")
    finally:
        os.close(home)

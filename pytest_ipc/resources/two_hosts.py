"""Two hosts on one machine: network namespaces joined by a veth pair.

The process that makes them never moves. A child makes the namespaces, lays the cable and sends descriptors of them
back; each actor goes to its host by setns(2) before its function. Nothing is left to be cleared away: a network
namespace goes with the last descriptor of it and the last process in it, its devices go with it, and every process is
in custody. Who may not make one makes a user namespace first, in which he may.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from functools import partial
from typing import Any, Self

from ..custody.cleanup import finish
from ..custody.scope import Scope
from ..kernel import netlink
from ..kernel.namespace import CLONE_NEWNET, CLONE_NEWUSER, map_user, setns, unshare
from ..kernel.process import PR_SET_DUMPABLE, prctl
from ..kernel.waiting import DEFAULT_TIMEOUT, Deadline, patience
from ..processes.bootstrap import die_with_parent
from ..processes.child import Child
from ..processes.fork import Fork, ForkInside
from ..resource import Resource, close_all
from ..unpatched import os, socket
from .ipc_namespace import NotAllowedHere

__all__ = ["Host", "TwoHosts"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Addresses that are for examples only (RFC 5737, RFC 3849): nobody's real network is hidden by them.
_ADDRESSES = ("192.0.2.1", "192.0.2.2")
_ADDRESSES_6 = ("2001:db8::1", "2001:db8::2")
_DEVICE = "cable"


class NoNetworkNamespace(NotAllowedHere):
    """This process may not make a network namespace."""

    need = "network-namespaces"


class NoVethPair(NotAllowedHere):
    """Two network namespaces cannot be connected here."""

    need = "network"


class Host:
    """One of two hosts: its IPv4 `address`, its IPv6 `address6`, None where there is no IPv6, and actors that run there.

    `fork` starts them as the fixture of that name does: host.fork(function, *args), host.fork.keeping(fd)(function, *args).
    """

    def __init__(self, address: str, address6: str | None, namespaces: list[int], fork: Fork) -> None:
        self.address = address
        self.address6 = address6
        self._namespaces = namespaces
        self._actors: list[Child[Any]] = []
        self._fork = fork

    def __repr__(self) -> str:
        return f"<Host {self.address}>"

    @property
    def fork(self) -> ForkInside:
        """The factory of this host's actors. ValueError when the hosts are no more."""
        if not self._namespaces:
            raise ValueError(f"{self!r} is closed")
        return ForkInside(self._fork.entering(partial(_enter, self._namespaces)), self._actors)

    def close(self) -> None:
        """End the actors; none can be started any more. Harmless when repeated."""
        self._namespaces = []
        finish(*(actor.close for actor in reversed(self._actors)))


class TwoHosts(Resource):
    """Two hosts, `left` and `right`, that reach each other (network_namespaces(7), veth(4)) and nobody else.

    `own_user` says that they belong to a user namespace of their own, in which this user is user 0: so it is where the
    process lacks CAP_SYS_ADMIN.
    """

    def __init__(self, namespaces: list[int], own_user: bool, has_ipv6: bool, fork: Fork, scope: Scope | None) -> None:
        *before, left, right = namespaces
        self.own_user = own_user
        hosts = [
            Host(address, address6 if has_ipv6 else None, [*before, place], fork)
            for address, address6, place in zip(_ADDRESSES, _ADDRESSES_6, (left, right), strict=True)
        ]
        self.left: Host = hosts[0]
        self.right: Host = hosts[1]
        self._namespaces = namespaces
        super().__init__(scope)

    @classmethod
    def create(cls, *, fork: Fork | None = None, scope: Scope | None = None) -> Self:
        """Two new hosts and the cable between them, up.

        NotAllowedHere, an OSError, where the platform does not let this process.
        """
        fork = fork or Fork(scope or Scope())  # before the descriptors: it hands on numbers that are newer than itself
        here, there = socket.socketpair()
        with here, there, Child.start(_make_and_send, (there,), keep={there.fileno()}) as child:
            try:
                own_user, has_ipv6 = child.result(timeout=4 * DEFAULT_TIMEOUT)  # of which it waits for each device
            except TimeoutError as error:
                raise NoVethPair(ETIMEDOUT, f"a cable between two hosts needs a kernel that answers: {error}") from None
            _, fds, _, _ = socket.recv_fds(here, 1, 3, socket.MSG_DONTWAIT)
        return cls(fds, own_user, has_ipv6, fork, scope)

    def __repr__(self) -> str:
        return f"<TwoHosts {self.left.address} {self.right.address}>"

    def descriptors(self) -> list[int]:
        """Those of the namespaces: an actor needs them to go there."""
        return list(self._namespaces)

    def _end(self) -> None:
        finish(self.right.close, self.left.close, partial(close_all, self._namespaces))


def _enter(namespaces: list[int]) -> None:
    """In an actor: go to a host."""
    for fd in namespaces:
        setns(fd)
    die_with_parent()  # a change of user namespace may have cleared it


def _make_and_send(there: socket.socket) -> tuple[bool, bool]:
    """In a child: make both hosts and send descriptors of them.

    Whether a user namespace was needed, and whether IPv6 is there.
    """
    places: list[int] = []
    try:
        own_user = _new_host()
        places += [_here("user")] * own_user + [_here("net")]
        unshare(CLONE_NEWNET)
        places.append(_here("net"))
    except OSError as error:
        raise NoNetworkNamespace(
            error.errno,
            "network namespaces need CAP_SYS_ADMIN, or user namespaces for ordinary users, and a kernel that has them: "
            f"{error.strerror}",
        ) from None
    left, right = places[-2:]
    try:
        netlink.add_veth(_DEVICE, _DEVICE, left)
        has_ipv6 = [_set_up(place, number) for number, place in enumerate((left, right))]
    except OSError as error:
        raise NoVethPair(
            error.errno,
            f"a cable between two hosts needs CAP_NET_ADMIN, and a kernel that has veth devices: {error.strerror}",
        ) from None
    for place in (left, right):
        setns(place)
        # Until then the device takes packets and drops them; the kernel does the rest of switching it on in its own
        # time.
        if not Deadline(DEFAULT_TIMEOUT).until(lambda: netlink.is_up(_DEVICE)):
            raise NoVethPair(
                ETIMEDOUT,
                "a cable between two hosts needs a kernel whose veth devices come up: "
                f"they were down after {DEFAULT_TIMEOUT * patience():.0f} s",
            )
    socket.send_fds(there, [b"."], places)
    return own_user, all(has_ipv6)


def _new_host() -> bool:
    """Move this process to a network namespace of its own; whether that took a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        prctl(PR_SET_DUMPABLE, 1)  # who has changed his user without an exec may not write his own maps otherwise
        map_user(0, 0, uid, gid)
        return True
    return False


def _here(kind: str) -> int:
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _set_up(place: int, number: int) -> bool:
    """Go to a host and switch it on, with its addresses; whether it has IPv6."""
    setns(place)
    netlink.set_up("lo")
    netlink.set_up(_DEVICE)
    netlink.add_address(_DEVICE, _ADDRESSES[number], 24)
    try:
        netlink.add_address(_DEVICE, _ADDRESSES_6[number], 64)
    except OSError:  # switched off, or not built in: each with an errno of its own
        return False
    return True

"""Two hosts on one machine: network namespaces joined by a veth pair.

The creating process never moves. A child creates the namespaces and the veth pair, and sends descriptors of them back;
each child of the fixture enters its namespace by setns(2) before its function. Nothing has to be removed: the kernel
removes a network namespace, with its devices, with the last descriptor of it and the last process in it, and every
process is in custody. A process without CAP_SYS_ADMIN creates a user namespace first.
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
from .ipc_namespace import NotAllowedHere, refusal

__all__ = ["Host", "TwoHosts"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Addresses reserved for examples (RFC 5737, RFC 3849), which hide no real network.
_ADDRESSES = ("192.0.2.1", "192.0.2.2")
_ADDRESSES_6 = ("2001:db8::1", "2001:db8::2")
_DEVICE = "veth"


class NoNetworkNamespace(NotAllowedHere):
    """This process may not create a network namespace."""

    need = "network-namespaces"


class NoVethPair(NotAllowedHere):
    """Two network namespaces cannot be connected here."""

    need = "network"


class Host:
    """One of two network namespaces: its IPv4 `address`, its IPv6 `address6` or None without IPv6, and its children.

    `fork` starts children in it like the fixture of that name: host.fork(function, *args).
    """

    def __init__(self, address: str, address6: str | None, namespaces: list[int], fork: Fork) -> None:
        self.address = address
        self.address6 = address6
        self._namespaces = namespaces
        self._children: list[Child[Any]] = []
        self._fork = fork

    def __repr__(self) -> str:
        return f"<Host {self.address}>"

    @property
    def fork(self) -> ForkInside:
        """The factory of this host's children. ValueError after the end of the hosts."""
        if not self._namespaces:
            raise ValueError(f"{self!r} is closed")
        return ForkInside(self._fork.entering(partial(_enter, self._namespaces)), self._children)

    def close(self) -> None:
        """End the children; no more can be started. Harmless when repeated."""
        self._namespaces = []
        finish(*(child.close for child in reversed(self._children)))


class TwoHosts(Resource):
    """Two network namespaces, `left` and `right`, connected only to each other (network_namespaces(7), veth(4)).

    If the process lacks CAP_SYS_ADMIN, they have their own user namespace, in which this user is user 0, and `own_user`
    is true.
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
        """Create two network namespaces and a veth pair between them, which is up.

        Raises NotAllowedHere, an OSError, without permission.
        """
        fork = fork or Fork(scope or Scope())  # before the descriptors, which its children inherit
        here, there = socket.socketpair()
        with here, there, Child.start(_make_and_send, (there,), keep={there.fileno()}) as child:
            try:
                own_user, has_ipv6 = child.result(timeout=4 * DEFAULT_TIMEOUT)  # it waits for each device
            except TimeoutError as error:
                raise NoVethPair(ETIMEDOUT, f"a veth pair needs a kernel that responds: {error}") from None
            _, fds, _, _ = socket.recv_fds(here, 1, 3, socket.MSG_DONTWAIT)
        return cls(fds, own_user, has_ipv6, fork, scope)

    def __repr__(self) -> str:
        return f"<TwoHosts {self.left.address} {self.right.address}>"

    def descriptors(self) -> list[int]:
        """Return the descriptors of the namespaces, which a child needs to enter them."""
        return list(self._namespaces)

    def _end(self) -> None:
        finish(self.right.close, self.left.close, partial(close_all, self._namespaces))


def _enter(namespaces: list[int]) -> None:
    """Enter the namespace of a host, in a child."""
    for fd in namespaces:
        setns(fd)
    die_with_parent()  # a change of user namespace may have cleared it


def _make_and_send(there: socket.socket) -> tuple[bool, bool]:
    """Create both namespaces, in a child, and send descriptors of them.

    Return whether a user namespace was needed, and whether there is IPv6.
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
            "network namespaces need CAP_SYS_ADMIN, or user namespaces for unprivileged users, and a kernel with both: "
            f"{refusal(error)}",
        ) from None
    left, right = places[-2:]
    try:
        netlink.add_veth(_DEVICE, _DEVICE, left)
        has_ipv6 = [_set_up(place, number) for number, place in enumerate((left, right))]
    except OSError as error:
        raise NoVethPair(
            error.errno,
            f"a veth pair needs CAP_NET_ADMIN, and a kernel that has veth devices: {error.strerror}",
        ) from None
    for place in (left, right):
        setns(place)
        # Until it is up, the device drops packets; the kernel completes its start asynchronously.
        if not Deadline(DEFAULT_TIMEOUT).until(lambda: netlink.is_up(_DEVICE)):
            raise NoVethPair(
                ETIMEDOUT,
                f"a veth pair needs devices that come up within {DEFAULT_TIMEOUT * patience():.0f} s; these did not",
            )
    socket.send_fds(there, [b"."], places)
    return own_user, all(has_ipv6)


def _new_host() -> bool:
    """Move this process to a new network namespace; return whether that needed a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        prctl(PR_SET_DUMPABLE, 1)  # else a process that changed its user without an exec may not write its maps
        map_user(0, 0, uid, gid)
        return True
    return False


def _here(kind: str) -> int:
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _set_up(place: int, number: int) -> bool:
    """Enter a namespace, configure its devices and addresses, and return whether it has IPv6."""
    setns(place)
    netlink.set_up("lo")
    netlink.set_up(_DEVICE)
    netlink.add_address(_DEVICE, _ADDRESSES[number], 24)
    try:
        netlink.add_address(_DEVICE, _ADDRESSES_6[number], 64)
    except OSError:  # IPv6 disabled or not built in: the errno differs
        return False
    return True

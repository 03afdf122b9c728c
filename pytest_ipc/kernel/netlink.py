"""Network devices through rtnetlink(7): as much as a second network namespace needs.

The `ip` program is not in every image. Every call acts on the network namespace of the calling process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..unpatched import os, socket

__tracebackhide__ = True  # pytest ends a traceback at the line that called

__all__: list[str] = []  # not for tests: the fixture gives configured namespaces

_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR = 16, 18, 20
_NLMSG_ERROR = 2
_REQUEST, _ACK, _EXCL, _CREATE = 0x001, 0x004, 0x200, 0x400
_IFLA_IFNAME, _IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 16, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x02
_IFF_UP = 1
_IF_OPER_UP = 6

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _ask(kind: int, flags: int, body: bytes) -> bytes:
    """Send one request and return the body of its answer. OSError with the errno in the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as link:
        link.settimeout(5)  # seconds: a kernel that does not answer must not block the test
        link.sendto(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body, (0, 0))
        answer = link.recv(65536)
    length, answered = _HEADER.unpack_from(answer)[:2]
    if answered == _NLMSG_ERROR:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if number:
            raise OSError(number, f"rtnetlink: {os.strerror(number)}")
    return answer[_HEADER.size : length]


def add_veth(name: str, peer: str, namespace: int) -> None:
    """Create a veth pair (veth(4)): *name* here, *peer* in the network namespace of descriptor *namespace*. OSError."""
    far = _LINK.pack(0, 0, 0, 0, 0) + _name(peer) + _attribute(_IFLA_NET_NS_FD, struct.pack("=i", namespace))
    data = _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, far))
    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"veth") + data)
    _ask(_RTM_NEWLINK, _ACK | _CREATE | _EXCL, _LINK.pack(0, 0, 0, 0, 0) + _name(name) + info)


def set_up(name: str) -> None:
    """Set the device *name* up. OSError."""
    _ask(_RTM_NEWLINK, _ACK, _LINK.pack(0, 0, socket.if_nametoindex(name), _IFF_UP, _IFF_UP))


def add_address(name: str, address: str, prefix: int) -> None:
    """Add an IPv4 or IPv6 address to the device *name*, usable at once. OSError if the family is disabled."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    body = _ADDRESS.pack(family, prefix, 0, 0, socket.if_nametoindex(name))
    body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    if family == socket.AF_INET6:
        # Duplicate address detection would take a second, and nothing else is connected.
        body += _attribute(_IFA_FLAGS, struct.pack("=I", _IFA_F_NODAD))
    _ask(_RTM_NEWADDR, _ACK | _CREATE | _EXCL, body)


def is_up(name: str) -> bool:
    """Return whether the device *name* carries packets; before that it accepts and drops them. OSError."""
    answer = _ask(_RTM_GETLINK, 0, _LINK.pack(0, 0, socket.if_nametoindex(name), 0, 0))
    return any(kind == _IFLA_OPERSTATE and data[0] == _IF_OPER_UP for kind, data in _attributes(answer[_LINK.size :]))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]

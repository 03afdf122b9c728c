"""What a descriptor is: the addresses of a socket, and the line of Python that opened it."""

from __future__ import annotations

import gc
import stat
from typing import Any

from ..unpatched import os

__all__ = ["addresses_of", "opened_at"]


def addresses_of(fd: int) -> str:
    """Return type and addresses of a socket as ", TCP 127.0.0.1:80 to 127.0.0.1:5000"; "" for other files."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return ""
    from ..unpatched import socket  # which few runs need

    try:
        own = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return ""  # there are no more descriptors
    with own:
        names = _name(own.family), _name(own.type)
        here, there = _address(own.getsockname), _address(own.getpeername)
        try:
            listens = own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listens = 0  # not of this family
    name = _PROTOCOLS.get(names, " ".join(names))
    return f", {name}{f' {here}' if here else ''}{f' to {there}' if there else ''}{', listening' if listens else ''}"


_PROTOCOLS = {
    ("AF_INET", "SOCK_STREAM"): "TCP",
    ("AF_INET6", "SOCK_STREAM"): "TCP",
    ("AF_INET", "SOCK_DGRAM"): "UDP",
    ("AF_INET6", "SOCK_DGRAM"): "UDP",
    ("AF_UNIX", "SOCK_STREAM"): "UNIX stream",
    ("AF_UNIX", "SOCK_DGRAM"): "UNIX datagram",
}


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))


def _address(call: Any) -> str:
    try:
        found = call()
    except OSError:
        return ""  # not connected
    if isinstance(found, bytes):
        found = "@" + found[1:].decode(errors="backslashreplace")
    if isinstance(found, tuple) and len(found) >= 2:
        return f"[{found[0]}]:{found[1]}" if ":" in str(found[0]) else f"{found[0]}:{found[1]}"
    return str(found)


def opened_at(fd: int) -> str:
    """Return the file and line that created the Python object of *fd*, if tracemalloc traces; else ""."""
    try:
        import tracemalloc  # which PYTHONTRACEMALLOC starts without it
    except (OSError, ImportError):
        return ""  # there are no more descriptors

    if not tracemalloc.is_tracing():
        return ""
    for each in gc.get_objects():
        if callable(getattr(type(each), "fileno", None)):
            try:
                if each.fileno() != fd:
                    continue
            except Exception:  # noqa: BLE001 - it is closed, or its fileno() is not that of a file
                continue
            if (trace := tracemalloc.get_object_traceback(each)) is not None:
                return f", opened at {trace[-1]}"
    return ""

"""probes.py NAME [ARGUMENT...]: what a process inside the sandbox sees or can do, as JSON.

{"value": …}, or {"errno": "EPERM", "call": …} for a failed call.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable

from pytest_ipc import limits
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    IPC_CREAT,
    IPC_EXCL,
    mount,
    mq_open,
    msgget,
    process_status,
    semget,
    shmget,
    sysvipc_msg,
    sysvipc_sem,
    sysvipc_shm,
    umount2,
    unshare,
)

NEW = IPC_CREAT | IPC_EXCL | 0o600
GET: dict[str, Callable[[int, int], int]] = {
    "segment": lambda key, flags: shmget(key, 0 if not flags else 4096, flags),
    "set": lambda key, flags: semget(key, 0 if not flags else 1, flags),
    "queue": msgget,
}


def find(kind: str, key: str) -> bool:
    """Whether an object with the key is there."""
    try:
        GET[kind](int(key), 0)
    except FileNotFoundError:
        return False
    return True


def create(kind: str, key: str) -> bool:
    """Create an object, which is there afterwards."""
    GET[kind](int(key), NEW)
    return find(kind, key)


def objects() -> int:
    """The number of System V objects that are visible."""
    return sum(len(rows() or ()) for rows in (sysvipc_shm, sysvipc_sem, sysvipc_msg))


def write(path: str) -> int:
    """Create a file."""
    with open(path, "xb") as file:
        return file.write(b"from the inside")


def exists(path: str) -> bool:
    return os.path.exists(path)


def open_queue(name: str) -> int:
    return mq_open(name, os.O_RDONLY)


def fill(size: str) -> int:
    """Allocate bytes of /dev/shm."""
    fd = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR, 0o600)
    os.posix_fallocate(fd, 0, int(size))
    return os.fstat(fd).st_size


def limit(name: str) -> float | None:
    return limits()[name].value


def status(name: str) -> str:
    """A line of /proc/self/status."""
    return process_status("self")[name]


def namespace(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{name}")


def descriptors() -> list[int]:
    """The open descriptors, without the one that lists them."""
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))


REFUSED: dict[str, Callable[[], object]] = {
    "mount": lambda: mount("none", "/dev/shm", "tmpfs"),
    "umount": lambda: umount2("/dev/shm"),
    "unshare": lambda: unshare(CLONE_NEWIPC),
    "chroot": lambda: os.chroot("/"),
    "sethostname": lambda: socket.sethostname(socket.gethostname()),
}


def privileged(call: str) -> str:
    """Make a call that needs a capability."""
    REFUSED[call]()
    return "permitted"


PROBES: tuple[Callable[..., object], ...] = (
    find, create, objects, write, exists, open_queue, fill, limit, status, namespace, descriptors, privileged,
)  # fmt: skip

if __name__ == "__main__":
    probe = {each.__name__: each for each in PROBES}[sys.argv[1]]
    try:
        answer: dict[str, object] = {"value": probe(*sys.argv[2:])}
    except OSError as error:
        answer = {"errno": errno.errorcode.get(error.errno or 0, str(error.errno)), "call": str(error.strerror)}
    print(json.dumps(answer))

"""Run a command under a small limit, as an unprivileged user or as the current one.

    python -m tests.small_limits.under ROW USER COMMAND...

ROW is one of the table, USER a number of no account, or 0 to stay who one is. Needs root for what is set by /proc/sys
or mounted; all of it is in namespaces of its own, but for the limits of the machine, which are put back.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    PR_SET_PDEATHSIG,
    getpipe_size,
    mount,
    prctl,
    set_limit,
    unshare,
)

from .table import ROWS, Row

MS_BIND = 4096
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
# What getrlimit(2) has and the stdlib's module does not name.
NUMBERS = {"LOCKS": 10, "SIGPENDING": 11, "MSGQUEUE": 12, "NICE": 13, "RTPRIO": 14}
PR_SET_SECUREBITS, SECBIT_NOROOT = 28, 1


def move(row: Row, user: int) -> None:
    """Go to namespaces of one's own, and set there what the row says."""
    unshare(CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    start_loopback()
    options = row.shm or "size=64m,mode=1777"
    mount("shm", "/dev/shm", "tmpfs", MS_RDONLY * options.startswith("ro,"), options.removeprefix("ro,"))
    if Path("/dev/mqueue").is_dir():
        mount("mqueue", "/dev/mqueue", "mqueue")
    if user:
        for path in (sys.executable, sys.prefix, sys.base_prefix, *sys.path, os.getcwd()):
            open_up(Path(path))
    for name, value in row.sysctls.items():
        set_limit(name, value)


def start_loopback() -> None:
    """Set the loopback device of a new network namespace up."""
    import socket
    import struct

    with socket.socket() as some:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(some, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(some, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def open_up(path: Path) -> None:
    """Make *path* reachable for all users: in this mount namespace, cover directories that others may not search."""
    for part in [*reversed(path.parents), path]:
        if not part.is_dir() or part.stat().st_mode & 0o001:
            continue
        inside = path.relative_to(part).parts
        if not inside:
            return
        kept = os.open(part / inside[0], os.O_PATH)
        mount("cover", part, "tmpfs", 0, "mode=755")
        (part / inside[0]).mkdir()
        mount(f"/proc/self/fd/{kept}", part / inside[0], None, MS_BIND | MS_REC)
        os.close(kept)


def become_unprivileged(user: int) -> None:
    """Be another user, or the same without a capability."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


@contextmanager
def pipes_taken() -> Iterator[None]:
    """Processes of this user hold as many pages in pipes as it may have before new ones become small."""
    with ExitStack() as stack:
        while True:
            ready, reported = os.pipe()
            child = os.fork()
            if child == 0:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
                full = False
                with suppress(OSError):
                    while not full:
                        full = getpipe_size(os.pipe()[0]) < 16 * os.sysconf("SC_PAGE_SIZE")
                os.write(reported, b"full" if full else b"more")
                signal.pause()
            stack.callback(os.waitpid, child, 0)
            stack.callback(os.kill, child, signal.SIGKILL)
            os.close(reported)
            answer = os.read(ready, 4)
            os.close(ready)
            if answer != b"more":
                break
        yield


@contextmanager
def of_the_machine(limits: dict[str, int | str]) -> Iterator[None]:
    """Limits of the whole machine, put back at the end."""
    with ExitStack() as stack:
        for name, value in limits.items():
            stack.callback(set_limit, name, Path(f"/proc/sys/{name}").read_text().strip())
            set_limit(name, value)
        yield


def main() -> int:
    """Set what the row says, and run the command under it."""
    name, user, *command = sys.argv[1:]
    row = ROWS[name]
    if os.geteuid() == 0:
        move(row, int(user))
    with of_the_machine(row.machine):
        child = os.fork()
        if child == 0:
            run(row, int(user), command)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(row: Row, user: int, command: list[str]) -> None:
    """In the child: become the user, and the command."""
    try:
        if user:
            become_unprivileged(user)
        with pipes_taken() if row.pipes else nullcontext():
            child = os.fork()
            if child == 0:
                for limit, value in row.rlimits.items():
                    number = NUMBERS.get(limit) or getattr(resource, f"RLIMIT_{limit}")
                    resource.setrlimit(number, (value, value))
                os.execvp(command[0], command)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(status & 0xFF)
    except BaseException as error:  # noqa: BLE001 - a child must not unwind into what its parent does
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(125)


if __name__ == "__main__":
    sys.exit(main())

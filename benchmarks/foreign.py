"""What others have on the machine: processes, segments, names, descriptors, in numbers as on a busy server."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sysv_ipc

from .row import NotMeasuredError

__all__ = ["isolated", "own_processes", "processes", "without_ledgers"]

# Small: without a site, and in C's own signal.pause(), so that each has few pages of its own.
_SOURCE = """
import os, signal, sys
children = []
try:
    for _ in range(int(sys.argv[1])):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        children.append(pid)
    print("ready", flush=True)
    sys.stdin.read()
finally:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
"""


@contextmanager
def processes(number: int) -> Iterator[None]:
    """Have that many unrelated processes."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SOURCE, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        if running.stdout.readline() != b"ready\n":
            raise OSError(f"cannot start {number} processes")
        yield


def isolated(**things: int) -> list[str]:
    """Return a command that executes its arguments among so many foreign *things*: segments, names, descriptors.

    It has an IPC namespace and a /dev/shm of its own, as other processes would see the objects and meet the limits.
    """
    numbers = [f"{name}={number}" for name, number in things.items()]
    return [
        *_mounting("--ipc", "mount -t tmpfs -o mode=1777 shm /dev/shm"),
        *(sys.executable, "-P", "-m", "benchmarks.foreign", *numbers, "--"),
    ]


def without_ledgers() -> list[str]:
    """Return a command that executes its arguments where other runs have left no ledger in a shared directory."""
    found = [str(path) for name in ("/tmp", "/var/tmp") for path in Path(name).glob("pytest-ipc-of-*")]
    if not found:
        return []
    return _mounting("--mount", " && ".join(f"mount -t tmpfs -o mode=700 none {shlex.quote(path)}" for path in found))


def own_processes() -> list[str]:
    """Return a command that executes its arguments in a PID namespace of its own, where no other processes are seen."""
    return _mounting("--pid", "mount -t proc proc /proc")


def _mounting(namespace: str, mounts: str) -> list[str]:
    if shutil.which("unshare") is None:
        raise NotMeasuredError("needs unshare(1), for namespaces of its own")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    fork = ["--fork", "--kill-child"] if namespace == "--pid" else []
    # In a PID namespace the shell stays: as its init it reaps orphans.
    execute = '"$@"' if fork else 'exec "$@"'
    return ["unshare", "--mount", namespace, *fork, *user, "sh", "-c", f"{mounts} && {execute}", "-"]


def main() -> None:
    """Create the things that are named in the arguments, and execute the command after them."""
    end = sys.argv.index("--")
    numbers = {name: int(number) for name, _, number in (word.partition("=") for word in sys.argv[1:end])}
    if (pid := os.fork()) == 0:  # so that another process has created them
        for _ in range(numbers.get("segments", 0)):
            sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=4096).detach()
        for number in range(numbers.get("names", 0)):
            with open(f"/dev/shm/foreign-{number}", "x"):
                pass
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f"cannot create {' '.join(sys.argv[1:end])}")
    descriptors = numbers.get("descriptors", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors + 200), max(hard, descriptors + 200)))
    for _ in range(descriptors):
        os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])


if __name__ == "__main__":
    main()

"""A noisy neighbour: other users of the machine make and remove locks, objects and processes while the tests run.

    python -m tests.noise COMMAND...

runs COMMAND meanwhile; the exit status is COMMAND's. No test may assume that it is alone on its machine: row numbers of
/proc/locks move, ids are not consecutive, /dev/shm and /proc/sysvipc have entries of others, and everything takes
longer.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_ipc.kernel import (
    F_OFD_SETLK,
    F_RDLCK,
    F_SETLK,
    F_WRLCK,
    IPC_CREAT,
    IPC_PRIVATE,
    LOCK_EX,
    LOCK_SH,
    MqAttr,
    RecordLock,
    fcntl_setlk,
    flock,
    mkfifo,
    mq_close,
    mq_open,
    mq_unlink,
    msgctl_rmid,
    msgget,
    msgsnd,
    semctl_rmid,
    semget,
    semop,
    shmat,
    shmctl_rmid,
    shmdt,
    shmget,
)

__all__ = ["Neighbour"]

# At most so many objects of all kinds at a time: enough that tables move, too few for anybody's limits. A message queue
# of the default size takes a tenth of RLIMIT_MSGQUEUE; these are small.
_MOST = 40


class Neighbour:
    """The process, while the block runs. It ends by itself when this process has ended."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.noise"]
        root = Path(__file__).parents[1]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        said, _ = self._process.communicate()  # closes its input
        assert self._process.returncode == 0, "the neighbour has failed"
        self.rounds = int(said)


def _make_lock(folder: str) -> Callable[[], None]:
    fd = os.open(f"{folder}/{secrets.token_hex(4)}", os.O_RDWR | os.O_CREAT, 0o600)
    kind = random.randrange(4)
    if kind == 0:
        flock(fd, random.choice((LOCK_EX, LOCK_SH)))
    else:
        command = F_SETLK if kind == 1 else F_OFD_SETLK
        fcntl_setlk(fd, command, RecordLock(random.choice((F_RDLCK, F_WRLCK)), random.randrange(100), 1))
    return partial(os.close, fd)


def _make_segment(_folder: str) -> Callable[[], None]:
    key = random.choice((IPC_PRIVATE, random.randrange(1, 1 << 31)))
    id = shmget(key, random.randrange(1, 9000), IPC_CREAT | 0o600)
    address = shmat(id, None, 0)

    def remove() -> None:
        shmdt(address)
        shmctl_rmid(id)

    return remove


def _make_set(_folder: str) -> Callable[[], None]:
    id = semget(IPC_PRIVATE, random.randrange(1, 9), IPC_CREAT | 0o600)
    semop(id, [(0, 1)])
    return partial(semctl_rmid, id)


def _make_queue(_folder: str) -> Callable[[], None]:
    id = msgget(IPC_PRIVATE, IPC_CREAT | 0o600)
    msgsnd(id, random.randrange(1, 9), b"noise", 0)
    return partial(msgctl_rmid, id)


def _make_posix_queue(_folder: str) -> Callable[[], None]:
    name = f"/noise-{secrets.token_hex(4)}"
    fd = mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, MqAttr(maxmsg=1, msgsize=8))

    def remove() -> None:
        mq_close(fd)
        mq_unlink(name)

    return remove


def _make_name(_folder: str) -> Callable[[], None]:
    path = f"/dev/shm/{random.choice(('noise-', 'sem.noise-'))}{secrets.token_hex(4)}"
    with open(path, "xb") as file:
        file.write(bytes(4096))
    return partial(os.unlink, path)


def _make_fifo(folder: str) -> Callable[[], None]:
    path = f"{folder}/{secrets.token_hex(4)}"
    mkfifo(path, 0o600)
    return partial(os.unlink, path)


def _make_process(_folder: str) -> Callable[[], None]:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)

    def end() -> None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    return end


_KINDS = (
    _make_lock,
    _make_lock,
    _make_segment,
    _make_set,
    _make_queue,
    _make_posix_queue,
    _make_name,
    _make_fifo,
    _make_process,
)


def _live() -> None:
    """Make and remove, until the input has ended; then remove what is there, and say how many were made."""
    made: list[Callable[[], None]] = []
    count = 0
    os.set_blocking(0, False)
    with tempfile.TemporaryDirectory(prefix="noise-") as folder, ExitStack() as rest:
        rest.callback(lambda: [remove() for remove in made])
        while True:
            with suppress(BlockingIOError):
                if not os.read(0, 1):
                    break
            while len(made) >= random.randrange(_MOST):
                made.pop(random.randrange(len(made)))()
                if not made:
                    break
            with suppress(OSError):  # what is full or refused is so for everybody
                made.append(random.choice(_KINDS)(folder))
                count += 1
            if count == _MOST:
                print("ready", flush=True)
            signal.sigtimedwait((), random.random() / 200)
    print(count)


def main(command: list[str]) -> int:
    """Act as the neighbour, or run the command with one. Return the exit status."""
    if not command:
        _live()
        return 0
    with Neighbour():
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

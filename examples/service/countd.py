"""countd NAME DIRECTORY CONFIG: a service that counts events in shared memory.

Each message of the POSIX queue NAME is "COUNTER AMOUNT". The counters are 64-bit numbers in the shared memory NAME, in
the order of the lines of CONFIG, after one that counts reloads. DIRECTORY has the FIFO "control", which takes the
commands "reset" and "stop", and the file "pid", which is locked while the service runs. SIGHUP reads CONFIG again;
SIGTERM and SIGINT end the service in an orderly way.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from mmap import PAGESIZE, mmap
from pathlib import Path

from libc_ipc import mq_open, mq_receive, mq_unlink, shm_open, shm_unlink

MESSAGES, MESSAGE_SIZE = 8, 64
MOST_COUNTERS = PAGESIZE // 8 - 1
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


class CannotStart(Exception):
    """Why the service does not start."""


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read_config(path: Path) -> list[str]:
    """Return the names of the counters. ValueError if the file is not valid."""
    names = path.read_text(encoding="utf-8").split()
    if not 1 <= len(names) <= MOST_COUNTERS or len(set(names)) < len(names):
        raise ValueError(f"the configuration must have 1 to {MOST_COUNTERS} different counters, not {len(names)}")
    return names


def lock_pid_file(path: Path) -> int:
    """Create the file, or take over that of a service that died: the kernel has released the lock of that one."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 20).decode(errors="replace").strip()
            os.close(fd)
            raise CannotStart(f"the service already runs as process {pid}") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                break
        os.close(fd)  # a service that ended has just removed the file
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def remove(unlink: Callable[[str], None], name: str) -> None:
    with suppress(FileNotFoundError):
        unlink(name)


class Service:
    """The running service, and what it has to undo when it ends."""

    def __init__(self, name: str, directory: Path, config: Path, undo: ExitStack) -> None:
        self.config = config
        self.names = read_config(config)
        self.running = True
        self.unfinished = b""  # of a line that has not completely arrived
        pid_file = directory / "pid"
        undo.callback(os.close, lock_pid_file(pid_file))
        undo.callback(pid_file.unlink, missing_ok=True)

        fifo = str(directory / "control")
        for unlink, leftover in ((shm_unlink, name), (mq_unlink, name), (os.unlink, fifo)):
            remove(unlink, leftover)  # of a service that died: this one has the lock
        fd = shm_open(name, NEW)
        undo.callback(remove, shm_unlink, name)
        os.ftruncate(fd, PAGESIZE)
        self.counters = memoryview(mmap(fd, PAGESIZE)).cast("q")
        os.close(fd)
        self.queue = mq_open(name, NEW | os.O_NONBLOCK, maxmsg=MESSAGES, msgsize=MESSAGE_SIZE)
        undo.callback(os.close, self.queue)
        undo.callback(remove, mq_unlink, name)
        os.mkfifo(fifo, 0o600)
        undo.callback(remove, os.unlink, fifo)
        # Also open for writing, so that it never is at end of file.
        self.control = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        undo.callback(os.close, self.control)

    def run(self) -> None:
        signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # read from the pipe
        actions: dict[int, Callable[[], object]] = {
            signals: lambda: self.handle(os.read(signals, 64)),  # first, so that a stop does not wait for commands
            self.queue: self.count,
            self.control: self.obey,
        }
        poll = select.poll()
        for fd in actions:
            poll.register(fd, select.POLLIN)
        print(f"ready {os.getpid()}", flush=True)
        while self.running:
            for fd, _ in poll.poll():
                if self.running:
                    actions[fd]()
        self.count()  # what has arrived is not lost
        totals = zip(self.names, self.counters[1:], strict=False)
        print("stopped", *(f"{name}={value}" for name, value in totals), flush=True)

    def count(self) -> None:
        """Receive all messages."""
        while True:
            try:
                message = mq_receive(self.queue, MESSAGE_SIZE)
            except BlockingIOError:
                return
            try:
                name, amount = message.decode().split()
                self.counters[1 + self.names.index(name)] += int(amount)
            except (ValueError, OverflowError):
                log(f"rejected {message!r}")

    def obey(self) -> None:
        """Execute the complete lines of the FIFO."""
        *lines, self.unfinished = (self.unfinished + os.read(self.control, 4096)).split(b"\n")
        for line in lines:
            if line == b"stop":
                self.running = False
            elif line == b"reset":
                self.counters[1:] = memoryview(bytes(8 * MOST_COUNTERS)).cast("q")
                print("reset", flush=True)
            else:
                log(f"unknown command {line!r}")

    def handle(self, numbers: bytes) -> None:
        """React to signals."""
        if not {signal.SIGTERM, signal.SIGINT}.isdisjoint(numbers):
            self.running = False
        elif signal.SIGHUP in numbers:
            try:
                names = read_config(self.config)
            except (OSError, ValueError) as error:
                log(f"kept the configuration: {error}")
                return
            values = dict(zip(self.names, self.counters[1:], strict=False))
            self.names = names
            for index in range(MOST_COUNTERS):
                self.counters[1 + index] = values.get(names[index], 0) if index < len(names) else 0
            self.counters[0] += 1
            print("reloaded", *names, flush=True)


def main(arguments: list[str]) -> int:
    if len(arguments) != 3:
        log("usage: countd NAME DIRECTORY CONFIG")
        return 2
    name, directory, config = arguments
    with ExitStack() as undo:
        try:
            service = Service(name, Path(directory), Path(config), undo)
        except (CannotStart, OSError, ValueError) as error:
            log(f"countd: {error}")
            return 1
        service.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

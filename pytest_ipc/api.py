"""The object behind every fixture: one typed method for each mechanism.

`scope()` is for what lives longer or shorter than a test: a session fixture, one example of a Hypothesis test, a
program without pytest. A class is imported when its method is first called, so that a test pays only for the mechanisms
that it uses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from .custody.scope import Scope
from .processes.fork import Fork
from .resource import DEFAULT, Timeout, created
from .resources.sockets import Sockets
from .unpatched import os, time

if TYPE_CHECKING:
    from .processes.arguments import Argument
    from .processes.observe import Observed
    from .processes.program import Program
    from .resources.eventfd import EventFd
    from .resources.fifo import Fifo
    from .resources.futex import Futex
    from .resources.ipc_namespace import IpcNamespace
    from .resources.lock import FileLock
    from .resources.mapping import Mapping as MappedFile
    from .resources.message_queue import MessageQueue
    from .resources.pipe import Pipe
    from .resources.posix_queue import PosixQueue
    from .resources.posix_semaphore import PosixSemaphore
    from .resources.segment import Segment
    from .resources.semaphores import SemaphoreSet
    from .resources.shared_memory import SharedMemory
    from .resources.signals import Signals
    from .resources.timers import TimerFd
    from .resources.two_hosts import TwoHosts

__all__ = ["Ipc", "scope"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Value = TypeVar("Value")

_CREATE = 0o3000  # IPC_CREAT | IPC_EXCL


class Ipc:
    """Create IPC objects and processes, each owned by one scope and ended with it, in reverse order."""

    def __init__(self, scope: Scope) -> None:
        if not sys.platform.startswith("linux"):
            raise NotImplementedError(f"pytest-ipc creates Linux IPC objects, and this system is {sys.platform}")
        self.scope = scope
        self.sockets: Sockets = Sockets(scope)
        self.fork: Fork = Fork(scope)
        self._signals: Signals | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Ipc cannot be passed to another process: it belongs to the process that closes its resources; pass "
            "the resources, or use pytest_ipc.scope() there"
        )

    @property
    def signals(self) -> Signals:
        """The signal state of this process, restored when the scope ends; saved at the first use."""
        if self._signals is None:
            from .resources.signals import Signals

            self._signals = Signals.create(scope=self.scope)
        return self._signals

    def spawn(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: bytes | int | None = None,
        pass_fds: Sequence[int] = (),
        signals: str = "default",
        may_fail: bool = False,
    ) -> Program:
        """Start a program: *argv*[0], found in PATH, with these arguments (execve(2)).

        *env* replaces the environment. *stdin* is bytes to read, subprocess.PIPE for write() and close_stdin(), or None
        for /dev/null. The program inherits only the standard streams and *pass_fds*. With *signals* "default" every
        signal has its default disposition and none is blocked, as from a shell; with "inherit" they are those of this
        process.

        A crash, as by SIGSEGV, fails the test at its end unless the test waits for the program or *may_fail* is true.

        OSError with the errno of execve(2) or chdir(2): ENOENT if there is no such program, EACCES if it is not
        executable.
        """
        __tracebackhide__ = True
        from .processes.program import Program

        return created(
            Program.start,
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin,
            pass_fds=pass_fds,
            signals=signals,
            may_fail=may_fail,
            scope=self.scope,
        )

    def observe(self, pid: int) -> Observed:
        """Observe any process by its id: state, files, maps, limits. ProcessLookupError."""
        __tracebackhide__ = True
        from .processes.observe import observe

        return observe(pid)

    def reserve_name(self, name: str | None = None) -> str:
        """Reserve a name of POSIX shared memory, semaphores and message queues for the code under test.

        What has the name at the end is removed, whoever created it. Without a *name* it is an unused one. Raises
        FileExistsError if an object has the name, ValueError, OSError.
        """
        __tracebackhide__ = True
        from .resources.reservation import ReservedName

        return ReservedName(name, scope=self.scope).name

    def reserve_key(self, key: int | None = None) -> int:
        """Reserve a key of System V segments, semaphore sets and message queues for the code under test.

        What has the key at the end is removed, whoever created it. Without a *key* it is an unused one. Raises
        FileExistsError if an object has the key, ValueError, OSError.
        """
        __tracebackhide__ = True
        from .resources.reservation import ReservedKey

        return ReservedKey(key, scope=self.scope).key

    def reserve_path(self, name: str = "reserved") -> str:
        """Reserve a path for a FIFO, socket or file of the code under test, in a private directory.

        The directory is removed at the end, with all its contents. *name* is the last part of the path. Raises OSError.
        """
        __tracebackhide__ = True
        from .resources.reservation import ReservedPath

        return ReservedPath(name, scope=self.scope).path

    def wait_until(self, predicate: Callable[[], Value], *, timeout: Timeout = DEFAULT) -> Value:
        """Call *predicate* until it returns a true value, and return that. TimeoutError with the last value.

        An AssertionError counts as a false value, so that a predicate may consist of assertions.
        """
        __tracebackhide__ = True
        from .processes.observe import wait_until

        return wait_until(predicate, timeout=timeout)

    def sysv_shm(
        self, size: int | None = None, *, key: int | None = None, flags: int = _CREATE, mode: int = 0o600
    ) -> Segment:
        """Create a System V shared memory segment of *size* bytes, 4096 by default (shmget(2)).

        Without a *key* it gets an unused one; IPC_PRIVATE works too. OSError: EEXIST if there is one for the key,
        EINVAL, ENOSPC.
        """
        __tracebackhide__ = True
        from .resources.segment import Segment

        return created(Segment.create, size, key=key, flags=flags, mode=mode, scope=self.scope)

    def sysv_sem(
        self,
        count: int | None = None,
        *,
        values: Sequence[int] | None = None,
        key: int | None = None,
        flags: int = _CREATE,
        mode: int = 0o600,
    ) -> SemaphoreSet:
        """Create a set of *count* System V semaphores with these *values* (semget(2), semctl(2)).

        *count* is the number of values by default, or 1. OSError: EEXIST if there is one for the key, EINVAL, ENOSPC.
        """
        __tracebackhide__ = True
        from .resources.semaphores import SemaphoreSet

        return created(SemaphoreSet.create, count, values=values, key=key, flags=flags, mode=mode, scope=self.scope)

    def sysv_msg(self, *, key: int | None = None, flags: int = _CREATE, mode: int = 0o600) -> MessageQueue:
        """Create a System V message queue (msgget(2)).

        Without a *key* it gets an unused one; IPC_PRIVATE works too. OSError: EEXIST if there is one for the key,
        ENOSPC.
        """
        __tracebackhide__ = True
        from .resources.message_queue import MessageQueue

        return created(MessageQueue.create, key=key, flags=flags, mode=mode, scope=self.scope)

    def posix_shm(
        self,
        size: int = 4096,
        *,
        name: str | None = None,
        flags: int = os.O_CREAT | os.O_EXCL | os.O_RDWR,
        mode: int = 0o600,
        allocated: bool = True,
    ) -> SharedMemory:
        """Create a POSIX shared memory object of *size* zero bytes (shm_open(3)).

        Without a *name* it gets an unused one. Its memory is *allocated* at once, so that ENOSPC comes here and no
        SIGBUS later. OSError: EEXIST if the name exists, ENOSPC.
        """
        __tracebackhide__ = True
        from .resources.shared_memory import SharedMemory

        return created(
            SharedMemory.create, size, name=name, flags=flags, mode=mode, allocated=allocated, scope=self.scope
        )

    def posix_sem(
        self,
        value: int = 0,
        *,
        name: str | None = None,
        shared: bool = False,
        flags: int = os.O_CREAT | os.O_EXCL,
        mode: int = 0o600,
    ) -> PosixSemaphore:
        """Create a POSIX semaphore with *value* (sem_open(3)), or an unnamed one in shared memory (*shared*.

        Sem_init(3)).

        Without a *name* it gets an unused one. OSError: EEXIST if the name exists, EINVAL for a value above
        SEM_VALUE_MAX.
        """
        __tracebackhide__ = True
        from .resources.posix_semaphore import PosixSemaphore

        return created(PosixSemaphore.create, value, name=name, shared=shared, flags=flags, mode=mode, scope=self.scope)

    def posix_mq(
        self,
        *,
        name: str | None = None,
        maxmsg: int = 10,
        msgsize: int = 8192,
        flags: int = os.O_CREAT | os.O_EXCL | os.O_RDWR,
        mode: int = 0o600,
    ) -> PosixQueue:
        """Create a POSIX message queue of *maxmsg* messages of up to *msgsize* bytes (mq_open(3)).

        Without a *name* it gets an unused one. OSError: EEXIST if the name exists, EINVAL above the limits of
        mq_overview(7).
        """
        __tracebackhide__ = True
        from .resources.posix_queue import PosixQueue

        return created(
            PosixQueue.create, name=name, maxmsg=maxmsg, msgsize=msgsize, flags=flags, mode=mode, scope=self.scope
        )

    def mapped_file(
        self, size: int = 4096, *, shared: bool = True, path: str | os.PathLike[str] | None = None, mode: int = 0o600
    ) -> MappedFile:
        """Create a file of *size* zero bytes and map it, MAP_PRIVATE unless *shared* (mmap(2)). OSError."""
        __tracebackhide__ = True
        from .resources.mapping import Mapping

        return created(Mapping.create, size, shared=shared, path=path, mode=mode, scope=self.scope)

    def pipe(self, *, flags: int = os.O_CLOEXEC, capacity: int | None = None) -> Pipe:
        """Create a pipe with *flags* (pipe2(2)) that holds at least *capacity* bytes (F_SETPIPE_SZ).

        OSError: EMFILE, EINVAL for an unknown flag, EPERM above /proc/sys/fs/pipe-max-size.
        """
        __tracebackhide__ = True
        from .resources.pipe import Pipe

        return created(Pipe.create, flags=flags, capacity=capacity, scope=self.scope)

    def fifo(self, *, mode: int = 0o600, path: str | os.PathLike[str] | None = None) -> Fifo:
        """Create a FIFO at *path*, or in a private directory of its own (mkfifo(3)).

        *mode* is subject to the umask. OSError: EEXIST if the path exists.
        """
        __tracebackhide__ = True
        from .resources.fifo import Fifo

        return created(Fifo.create, mode=mode, path=path, scope=self.scope)

    def file_lock(
        self, path: str | os.PathLike[str] | None = None, *, kind: str = "flock", flags: int = os.O_RDWR
    ) -> FileLock:
        """Open the file at *path* with *flags*, or a new one in a private directory, to lock it.

        *kind* is "flock" (flock(2)), "posix" (fcntl_locking(2)) or "ofd" (open file description locks). OSError.
        """
        __tracebackhide__ = True
        from .resources.lock import FileLock

        return created(FileLock.create, path, kind=kind, flags=flags, scope=self.scope)

    def eventfd(self, value: int = 0, *, flags: int = os.EFD_CLOEXEC) -> EventFd:
        """Create an event counter that starts at *value*, an unsigned 32-bit number (eventfd(2)). OSError."""
        __tracebackhide__ = True
        from .resources.eventfd import EventFd

        return created(EventFd.create, value, flags=flags, scope=self.scope)

    def timerfd(self, clock: int = time.CLOCK_MONOTONIC, *, flags: int = os.O_CLOEXEC) -> TimerFd:
        """Create a timer of *clock* that is read through a descriptor (timerfd_create(2)). OSError."""
        __tracebackhide__ = True
        from .resources.timers import TimerFd

        return created(TimerFd.create, clock, flags=flags, scope=self.scope)

    def futex(self, value: int = 0) -> Futex:
        """Create a 32-bit word with *value* to wait on, in memory shared with children (futex(2)).

        OverflowError, OSError.
        """
        __tracebackhide__ = True
        from .resources.futex import Futex

        return created(Futex.create, value, scope=self.scope)

    def ipc_namespace(
        self,
        *,
        shmmax: int | None = None,
        shmall: int | None = None,
        shmmni: int | None = None,
        shm_rmid_forced: int | None = None,
        shm_next_id: int | None = None,
        sem: Sequence[int] | None = None,
        sem_next_id: int | None = None,
        msgmax: int | None = None,
        msgmnb: int | None = None,
        msgmni: int | None = None,
        msg_next_id: int | None = None,
        mqueue: Mapping[str, int] | None = None,
    ) -> IpcNamespace:
        """Create an IPC namespace with these limits of /proc/sys/kernel, or the defaults (ipc_namespaces(7)).

        NotAllowedHere, an OSError, where this process may not create one.
        """
        __tracebackhide__ = True
        from .resources.ipc_namespace import IpcNamespace

        return created(
            IpcNamespace.create,
            shmmax=shmmax,
            shmall=shmall,
            shmmni=shmmni,
            shm_rmid_forced=shm_rmid_forced,
            shm_next_id=shm_next_id,
            sem=sem,
            sem_next_id=sem_next_id,
            msgmax=msgmax,
            msgmnb=msgmnb,
            msgmni=msgmni,
            msg_next_id=msg_next_id,
            mqueue=mqueue,
            scope=self.scope,
            fork=self.fork,
        )

    def two_hosts(self) -> TwoHosts:
        """Create two network namespaces joined by a veth pair (veth(4)).

        NotAllowedHere, an OSError, where this process may not create them.
        """
        __tracebackhide__ = True
        from .resources.two_hosts import TwoHosts

        return created(TwoHosts.create, scope=self.scope, fork=self.fork)


@contextmanager
def scope() -> Iterator[Ipc]:
    """Own everything that is created in a `with` statement, and end it at its end.

    with pytest_ipc.scope() as ipc:
        segment = ipc.sysv_shm(8192)
        child = ipc.fork(worker, segment.key)

    What cannot be released is raised at the end, several failures as an ExceptionGroup.
    """
    with Scope() as owner:
        yield Ipc(owner)

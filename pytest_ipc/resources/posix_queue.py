"""POSIX message queues as objects: create, use with deadlines, remove.

A queue's size counts against RLIMIT_MSGQUEUE of its user until it is removed; the default limit permits nine queues of
the default size, so a test that needs many should create small ones.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL, EMFILE, EMSGSIZE, ENOSPC
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..custody.ledger import Record, intent
from ..custody.namespaces import ipc_identity, is_here
from ..kernel.posix_mq import (
    MQ_PRIO_MAX,
    MqAttr,
    mq_close,
    mq_getattr,
    mq_notify,
    mq_open,
    mq_receive,
    mq_receive_at_once,
    mq_send,
    mq_send_at_once,
    mq_setattr,
    mq_timedreceive,
    mq_timedsend,
    mq_unlink,
)
from ..kernel.timers import SIGEV_NONE, SIGEV_SIGNAL
from ..kernel.times import Timespec
from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import (
    DEFAULT,
    Handle,
    Timeout,
    WithDescriptor,
    check_mode,
    check_size,
    check_timeout,
    closed_when_dropped,
    timed_out,
)
from ..unpatched import fcntl, os, time
from .handed import not_found
from .limit_notes import note_limits
from .names import check_name, unlink_name, unused_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..custody.scope import Scope

    Given = TypeVar("Given")

__all__ = ["PosixQueue"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_NEW = os.O_CREAT | os.O_EXCL
_FLAGS = _NEW | os.O_ACCMODE | os.O_NONBLOCK | os.O_CLOEXEC


class PosixQueue(WithDescriptor):
    """A POSIX message queue (mq_overview(7)), open in this process, and removed when its block or scope ends.

    `name` is its name for other processes, `maxmsg` its maximum number of messages, `msgsize` their maximum bytes.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        *,
        record: Record | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.name = name
        self._fd = fd
        self._record = record  # None for a queue of another owner, which is used and never unlinked
        self._file = _identity(fd)
        self._namespace = record.details["ipc"] if record else ""
        attr = mq_getattr(fd)
        self.maxmsg: int = attr.maxmsg
        self.msgsize: int = attr.msgsize
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        *,
        name: str | None = None,
        maxmsg: int = 10,
        msgsize: int = 8192,
        flags: int = os.O_CREAT | os.O_EXCL | os.O_RDWR,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create or open a queue of *maxmsg* messages of up to *msgsize* bytes (mq_open(3)).

        Without a *name* it gets an unused one. A queue opened without O_EXCL is used but never unlinked, as it belongs
        to another owner. Raises ValueError or TypeError for an invalid size, name, mode or flags; OSError.
        """
        for number, what in ((maxmsg, "a queue's capacity"), (msgsize, "a queue's longest message")):
            check_size(number, what)
        check_mode(mode)
        if flags & ~_FLAGS:
            raise ValueError(f"flags of a queue must not contain {flags & ~_FLAGS:#o}")
        attr = MqAttr(maxmsg=maxmsg, msgsize=msgsize)
        if name is None:
            return cls._make(unused_name(), flags, mode, attr, scope)
        check_name(name, "a message queue")
        if flags & os.O_CREAT:
            # Always exclusive, so that the creator, who may unlink the queue, is certain.
            try:
                if _is_there(name):
                    raise FileExistsError(EEXIST, f"mq_open: {os.strerror(EEXIST)}", name)
                return cls._make(name, flags, mode, attr, scope)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
        return cls(_mq_open(name, flags & ~_NEW, mode, attr), name, scope=scope)

    @classmethod
    def _make(cls, name: str, flags: int, mode: int, attr: MqAttr, scope: Scope | None) -> Self:
        sizes = {"maxmsg": attr.maxmsg, "msgsize": attr.msgsize}
        with intent("posix-mq", name=name, mode=mode, **sizes, ipc=ipc_identity()) as record:
            fd = _mq_open(name, flags | _NEW, mode, attr)
            dev, ino = _identity(fd)
            record.made(dev=dev, ino=ino)
        return cls(fd, name, record=record, scope=scope)

    def __repr__(self) -> str:
        return plain(f"<PosixQueue {self.name}>")

    def _handle(self) -> Handle:
        flags = fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & (os.O_ACCMODE | os.O_NONBLOCK)
        return self._handed, (self.name, flags, self._file)

    @classmethod
    def _handed(cls, name: str, flags: int, identity: tuple[int, int]) -> Self:
        """Open the queue in the process that it was passed to. Raises OSError."""
        try:
            made = closed_when_dropped(cls(mq_open(name, flags), name))
        except FileNotFoundError:
            raise not_found(f"<PosixQueue {name}>") from None
        if made._file != identity:  # noqa: SLF001 - of this class
            raise not_found(made)
        return made

    @property
    def attributes(self) -> MqAttr:
        """Return flags, sizes, and the number of messages in the queue (mq_getattr(3)). Raises OSError."""
        return mq_getattr(self.fileno())

    def send(self, data: bytes, priority: int = 0, *, timeout: Timeout = DEFAULT) -> None:
        """Send a message, waiting for space in the queue (mq_send(3), retried after a signal).

        Raises TimeoutError after *timeout* seconds; OSError (EMSGSIZE, EINVAL for a priority above 32767, EAGAIN
        instead of a wait with O_NONBLOCK).
        """
        fd, message = self.fileno(), data if data.__class__ is bytes else bytes(memoryview(data))
        if timeout is DEFAULT:
            try:
                mq_send_at_once(fd, message, priority)  # most messages need not wait, nor a deadline
                return
            except OSError as error:
                if error.errno is None:  # a signal handler raised it
                    raise
        seconds = check_timeout(timeout)

        def once(deadline: Deadline) -> None:
            if seconds is None:
                mq_send(fd, message, priority)
            else:
                mq_timedsend(fd, message, priority, _round(deadline))

        try:
            self._retried(once, seconds, "room in")
        except OSError as error:
            if error.errno == EMSGSIZE:
                error.add_note(f"message of {len(message)} bytes exceeds the queue's mq_msgsize ({self.msgsize})")
            elif error.errno == EINVAL:
                error.add_note(f"priority must be from 0 to {MQ_PRIO_MAX - 1} (MQ_PRIO_MAX - 1), not {priority}")
            raise

    def receive(self, *, timeout: Timeout = DEFAULT) -> tuple[bytes, int]:
        """Return the oldest message of the highest priority, and its priority (mq_receive(3), retried after a signal).

        Raises TimeoutError after *timeout* seconds; OSError (EAGAIN instead of a wait with O_NONBLOCK).
        """
        fd = self.fileno()
        if timeout is DEFAULT:
            try:
                return mq_receive_at_once(fd, self.msgsize)  # likewise
            except OSError as error:
                if error.errno is None:
                    raise
        seconds = check_timeout(timeout)

        def once(deadline: Deadline) -> tuple[bytes, int]:
            if seconds is None:
                return mq_receive(fd, self.msgsize)
            return mq_timedreceive(fd, self.msgsize, _round(deadline))

        return self._retried(once, seconds, "a message in")

    def _retried(self, once: Callable[[Deadline], Given], timeout: float | None, what: str) -> Given:
        deadline = Deadline(timeout)
        while True:
            try:
                return once(deadline)
            except InterruptedError:
                continue
            except TimeoutError:
                if deadline.passed:
                    raise timed_out(timeout, f"{what} {self!r}", self._state) from None

    def _state(self) -> str:
        return f"it holds {mq_getattr(self._fd).curmsgs} of {self.maxmsg} messages (mq_maxmsg)"

    def set_blocking(self, blocking: bool) -> None:
        """Clear or set O_NONBLOCK for all processes that share this open description (mq_getattr(3)). OSError."""
        mq_setattr(self.fileno(), MqAttr(flags=0 if blocking else os.O_NONBLOCK))

    def notify(self, signo: int | None, value: int = 0) -> None:
        """Request *signo* with *value* for this process when a message arrives in the empty queue (mq_notify(3)).

        With None no signal is sent, but no other process can register (SIGEV_NONE). Raises OSError (EBUSY if another
        process is registered).
        """
        if signo is None:
            mq_notify(self.fileno(), SIGEV_NONE)
        else:
            mq_notify(self.fileno(), SIGEV_SIGNAL, signo, value)

    def cancel_notify(self) -> None:
        """Remove this process's registration (mq_notify(3)). Harmless without one. Raises OSError."""
        mq_notify(self.fileno(), None)

    def unlink(self) -> bool:
        """Remove the name (mq_unlink(3)); return whether this call did. Open descriptors stay valid.

        Harmless if it was removed before, or if another queue has its name. Raises OSError for other failures.
        """
        return unlink_name(self, self._has_its_name, lambda: mq_unlink(self.name), self._record, self._out_of_sight)

    def _out_of_sight(self) -> str:
        return "" if is_here(self._namespace) else f"the IPC namespace {self._namespace}"

    def _has_its_name(self) -> bool:
        """Return whether the name refers to this queue, or, without permission to open it, whether it exists."""
        try:
            fd = mq_open(self.name, os.O_RDONLY | os.O_NONBLOCK)
        except PermissionError:
            return True
        try:
            return self._file == _identity(fd)
        finally:
            mq_close(fd)

    def _end(self) -> None:
        finish(*([] if self._record is None else [self.unlink]), self._close_fd)

    def _close_fd(self) -> None:
        if self._fd_open:
            self._fd_open = False
            mq_close(self._fd)


def _round(deadline: Deadline) -> Timespec:
    """Return the end of one short wait: mq_timedreceive(3) uses the realtime clock, which may be set meanwhile."""
    return Timespec.ahead(min(deadline.left, 1.0), time.CLOCK_REALTIME)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _is_there(name: str) -> bool:
    """Return whether a queue of that name exists, which must not be mistaken for a new one."""
    try:
        mq_close(mq_open(name, os.O_RDONLY | os.O_NONBLOCK))
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _mq_open(name: str, flags: int, mode: int, attr: MqAttr) -> int:
    try:
        return mq_open(name, flags, mode, attr)
    except OSError as error:
        error.add_note(
            plain(f"while opening the POSIX message queue {name}, {attr.maxmsg} messages of {attr.msgsize} bytes")
        )
        note_limits(error, *_LIMITS.get(error.errno or 0, ()))
        raise


# The limits that an errno of mq_open(3) may report.
_LIMITS = {
    EINVAL: ("fs.mqueue.msg_max", "fs.mqueue.msgsize_max"),  # without CAP_SYS_RESOURCE
    EMFILE: ("RLIMIT_MSGQUEUE", "RLIMIT_NOFILE"),
    ENOSPC: ("fs.mqueue.queues_max",),
}

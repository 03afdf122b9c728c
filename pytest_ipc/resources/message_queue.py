"""System V message queues as objects: create, send, receive, remove.

The kernel has no timeout for msgsnd(2) and msgrcv(2), and this package must not use a signal or a thread to end them.
So a call with a timeout is repeated with IPC_NOWAIT until it succeeds or the time is over. A call with timeout=None
blocks in the kernel, where others can see it wait.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import E2BIG, EAGAIN, EINVAL, ENOMSG, ENOSPC
from typing import TYPE_CHECKING, Self, TypeVar

from ..kernel.ipc import IPC_CREAT, IPC_EXCL, IPC_NOWAIT
from ..kernel.libc import INT
from ..kernel.msg import MSG_NOERROR, Msgbuf, MsqidDs, msgctl_rmid, msgctl_set, msgctl_stat, msgget, msgrcv, msgsnd
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Timeout, check_mode, check_timeout, timed_out
from .limit_notes import note_limits
from .sysv import SysvObject, SysvType

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["MessageQueue"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Result = TypeVar("Result")

_ROOM = 8192  # bytes of the longest message with the default kernel.msgmax


class MessageQueue(SysvObject):
    """A System V message queue, removed when its block or scope ends (msgget(2), msgop(2), msgctl(2)).

    `id` is its identifier, `key` the key for other processes. The removal ends all waits for it with EIDRM.
    """

    _type = SysvType("sysv-msg", "-q", msgctl_stat, msgctl_set, msgctl_rmid)

    @classmethod
    def create(
        cls,
        *,
        key: int | None = None,
        flags: int = IPC_CREAT | IPC_EXCL,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create or find a message queue (msgget(2)). Without a *key* it gets an unused one; IPC_PRIVATE works too.

        A queue found without IPC_EXCL is used but never removed, as it belongs to another owner. Raises ValueError or
        TypeError for an invalid key or mode; OSError.
        """
        id, key, record = cls._obtain(key, flags, mode, _msgget)
        return cls(id, key, record=record, scope=scope)

    def __repr__(self) -> str:
        return f"<MessageQueue id={self.id} key={self.key:#x}>"

    def send(
        self, data: bytes | bytearray | memoryview, type: int = 1, flags: int = 0, *, timeout: Timeout = DEFAULT
    ) -> None:
        """Send a message with the bytes *data*, waiting for space unless *flags* have IPC_NOWAIT (msgsnd(2)).

        A signal handler does not end the wait. With timeout=None it waits in msgsnd(2). Raises TimeoutError after
        *timeout* seconds; OSError: EAGAIN with IPC_NOWAIT, EINVAL for a type below 1 or more bytes than kernel.msgmax,
        EIDRM if the queue is removed.
        """
        self._usable()
        text = data if data.__class__ is bytes else bytes(memoryview(data))
        if timeout is DEFAULT:
            try:
                msgsnd(self.id, type, text, flags | IPC_NOWAIT)  # most messages need not wait, nor a deadline
                return
            except OSError as error:
                if error.errno is None:  # a signal handler raised it
                    raise
        try:
            self._wait(
                lambda how: msgsnd(self.id, type, text, how),
                flags,
                timeout,
                EAGAIN,
                doing=f"sending {len(text)} bytes to",
                missing=f"room for {len(text)} bytes in",
            )
        except OSError as error:
            if error.errno == EINVAL and type < 1:
                error.add_note(f"the type of a message must be at least 1, not {type}")
            elif error.errno == EINVAL:
                note_limits(error, "kernel.msgmax")
            raise

    def receive(self, type: int = 0, size: int | None = None, flags: int = 0, *, timeout: Timeout = DEFAULT) -> Msgbuf:
        """Receive a message, its `type` and `text`, waiting for one unless *flags* have IPC_NOWAIT (msgrcv(2)).

        *type* is 0 for the oldest message, above 0 for the oldest of that type (of any other with MSG_EXCEPT), below 0
        for the lowest type up to -type; with MSG_COPY a position in the queue, whose message stays there. *size* is the
        maximum length of the text in bytes: longer ones raise OSError (E2BIG), or are cut with MSG_NOERROR; None means
        any length. A signal handler does not end the wait. With timeout=None it waits in msgrcv(2). Raises TimeoutError
        after *timeout* seconds; OSError: ENOMSG with IPC_NOWAIT, EIDRM if the queue is removed.
        """
        self._usable()
        if timeout is DEFAULT:
            try:
                return self._take(type, size, flags | IPC_NOWAIT)  # likewise
            except OSError as error:
                if error.errno is None:
                    raise
        what = "a message in" if type == 0 else f"a message for type {type} in"
        return self._wait(
            lambda how: self._take(type, size, how),
            flags,
            timeout,
            ENOMSG,
            doing="receiving from",
            missing=what,
        )

    def _take(self, type: int, size: int | None, flags: int) -> Msgbuf:
        if size is not None:
            return msgrcv(self.id, size, type, flags)
        # A longer message stays in the queue, so the call can be repeated with a larger buffer.
        room = _ROOM
        while True:
            try:
                return msgrcv(self.id, room, type, flags & ~MSG_NOERROR)
            except OSError as error:
                if error.errno != E2BIG or room > INT[1]:
                    raise
            room *= 2

    def _wait(
        self,
        call: Callable[[int], Result],
        flags: int,
        timeout: Timeout,
        not_yet: int,
        *,
        doing: str,
        missing: str,
    ) -> Result:
        """Return the result of *call* with *flags*; *not_yet* is its errno instead of a wait."""
        if timeout is not DEFAULT and timeout is not None and flags & IPC_NOWAIT:
            raise ValueError("timeout must not be given with IPC_NOWAIT, which does not wait")
        seconds = None if flags & IPC_NOWAIT else check_timeout(timeout)
        how = flags if seconds is None else flags | IPC_NOWAIT
        for _ in Deadline(seconds).rounds():
            try:
                return call(how)
            except InterruptedError:
                continue
            except OSError as error:
                if seconds is None or error.errno != not_yet:
                    error.add_note(f"while {doing} {self!r}")
                    raise
        raise timed_out(seconds, f"{missing} {self!r}", self._state)

    def _state(self) -> str:
        now = msgctl_stat(self.id)
        return f"it holds {now.qnum} messages, {now.cbytes} of {now.qbytes} bytes (msg_qbytes)"

    def stat(self) -> MsqidDs:
        """Return the kernel's data of the queue (msgctl(2), IPC_STAT). Raises OSError."""
        self._usable()
        return msgctl_stat(self.id)

    def set_status(
        self, *, uid: int | None = None, gid: int | None = None, mode: int | None = None, qbytes: int | None = None
    ) -> None:
        """Change owner, group, mode or the capacity in bytes (msgctl(2), IPC_SET).

        Raises OSError; ValueError for a mode beyond 0o777.
        """
        self._usable()
        msgctl_set(self.id, uid=uid, gid=gid, mode=None if mode is None else check_mode(mode), qbytes=qbytes)


def _msgget(key: int, flags: int) -> int:
    try:
        return msgget(key, flags)
    except OSError as error:
        error.add_note(f"while making a System V message queue with key {key:#x}, flags {flags:#o}")
        if error.errno == ENOSPC:
            note_limits(error, "kernel.msgmni")
            error.add_note("`ipcs -q` lists the message queues of this IPC namespace")
        raise

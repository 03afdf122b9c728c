"""Notifications, which carry a number at most: eventfd, signals."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from ctypes import byref, c_byte, c_int, c_void_p
from struct import Struct

from ...kernel.abi import SIGINFO_BYTES, sigval
from ...kernel.signals import siginfo, sigset
from .channel import BUILTIN, NATIVE, Channel, End, NotMeasured, Setting
from .native_calls import check_again, pointer

__all__ = ["open_eventfd", "open_signal"]

_NUMBER = Struct("=Q")
_MOST = 3  # bytes of a message that fit the int of a signal

_SIGNAL = signal.SIGRTMAX - 3  # of the queued ones, whose numbers no program is likely to use


def _as_number(setting: Setting, what: str) -> int:
    if setting.size > _MOST:
        raise NotMeasured(f"{what} carries one number, and no data")
    return int.from_bytes(setting.message, "little") + 1  # eventfd cannot carry 0


def open_eventfd(setting: Setting) -> Channel:
    """Two event counters, one for each direction (eventfd(2))."""
    number = _NUMBER.pack(_as_number(setting, "an eventfd"))
    there, back = setting.ipc.eventfd().fileno(), setting.ipc.eventfd().fileno()
    read, write = os.readv, os.write

    def end(reader: int, writer: int) -> End:
        buffer = bytearray(_NUMBER.size)
        whole = [buffer]

        def send() -> None:
            write(writer, number)

        def receive() -> None:
            read(reader, whole)

        return End(send, receive, lambda: (_NUMBER.unpack(buffer)[0] - 1).to_bytes(setting.size, "little"))

    calls = {BUILTIN: 1}
    return Channel(end(back, there), end(there, back), calls, calls, carries_data=False)


def open_signal(setting: Setting) -> Channel:
    """A queued signal with a value in each direction, waited for and not handled (sigqueue(3), sigwaitinfo(2))."""
    number = _as_number(setting, "a signal")
    queue, wait = pointer("sigqueue", c_int), pointer("sigwaitinfo", c_int)
    _block(setting.undo)
    wanted, signo, value = sigset([_SIGNAL]), c_int(_SIGNAL), c_void_p(sigval(number))

    def end(target: c_int) -> End:
        info = (c_byte * SIGINFO_BYTES)()
        which, place = byref(wanted), byref(info)  # keep the objects alive

        def send() -> None:
            while queue(target, signo, value) == -1:
                check_again("sigqueue")

        def receive() -> None:
            while wait(which, place) == -1:
                check_again("sigwaitinfo")

        return End(send, receive, lambda: (siginfo(bytes(info)).value - 1).to_bytes(setting.size, "little"))

    child = c_int()
    calls = {NATIVE: 1}
    channel = Channel(end(child), end(c_int(os.getpid())), calls, calls, carries_data=False)
    channel.started = lambda pid: setattr(child, "value", pid)
    return channel


def _block(undo: ExitStack) -> None:
    """Block the signal until the end; those that are pending then are taken, as one would kill this process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {_SIGNAL})

    def restore() -> None:
        with suppress(OSError):  # a platform without the call
            while signal.sigtimedwait({_SIGNAL}, 0) is not None:
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    undo.callback(restore)

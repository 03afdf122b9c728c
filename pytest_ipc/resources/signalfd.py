"""Signals read from a descriptor, as an object: signalfd(2)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Self

from ..kernel.signalfds import SFD_CLOEXEC, SignalfdSiginfo, signalfd, signalfd_read
from ..kernel.signals import sigpending
from ..resource import DEFAULT, Timeout
from ..unpatched import signal
from .descriptor import Descriptor, fdinfo

__all__ = ["SignalFd"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class SignalFd(Descriptor):
    """A descriptor from which a process reads its own pending signals (signalfd(2)), created by `Signals.fd`.

    A forked child that inherits it reads the child's signals, not its parent's.
    """

    @classmethod
    def create(cls, signals: Iterable[int], *, flags: int = SFD_CLOEXEC) -> Self:
        """Create a descriptor for *signals*, which should be blocked (signalfd(2)).

        Raises OSError (EINVAL for an unknown flag, EMFILE).
        """
        return cls(signalfd(-1, signals, flags), "descriptor of signals")

    def read(self, *, timeout: Timeout = DEFAULT) -> SignalfdSiginfo:
        """Wait for a signal and take it. Raises TimeoutError after *timeout* seconds."""
        return self._taking(lambda: signalfd_read(self._fd), timeout, "a signal from")[0]

    def _state(self) -> str:
        mask = int(fdinfo(self._fd, "sigmask"), 16)
        asked = frozenset(number for number in range(1, 65) if mask >> number - 1 & 1)
        return signal_state(asked)


def signal_state(asked: AbstractSet[int]) -> str:
    """Return, in words, which of the signals *asked* are pending, and which this thread does not block."""
    pending = asked & sigpending()
    free = asked - signal.pthread_sigmask(signal.SIG_BLOCK, ())
    waiting = ", ".join(map(signal_name, sorted(pending))) or "none"
    not_blocked = f", and this thread does not block {', '.join(map(signal_name, sorted(free)))}" if free else ""
    return f"pending of these: {waiting}{not_blocked}"


def signal_name(signo: int) -> str:
    """Return the name of a signal, such as SIGUSR1, or the number of a real-time signal."""
    try:
        return signal.Signals(signo).name
    except ValueError:
        return f"signal {signo}"

"""Signals read from a descriptor, as an object: signalfd(2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from ..kernel.signalfds import SFD_CLOEXEC, SignalfdSiginfo, signalfd, signalfd_read
from ..kernel.waiting import DEFAULT_TIMEOUT
from .descriptor import Descriptor

__all__ = ["SignalFd"]


class SignalFd(Descriptor):
    """A descriptor from which this process reads its pending signals (signalfd(2)), made by `Signals.fd`.

    A forked child that holds it reads its own signals from it, not its parent's.
    """

    @classmethod
    def create(cls, signals: Iterable[int], *, flags: int = SFD_CLOEXEC) -> Self:
        """signalfd(2): a descriptor for *signals*, which should be blocked. OSError: EINVAL for an unknown flag, EMFILE."""
        return cls(signalfd(-1, signals, flags), "descriptor of signals")

    def read(self, timeout: float | None = DEFAULT_TIMEOUT) -> SignalfdSiginfo:
        """Take one signal, waiting for it. TimeoutError after *timeout* seconds."""
        return self._taking(lambda: signalfd_read(self._fd), timeout, "a signal")[0]

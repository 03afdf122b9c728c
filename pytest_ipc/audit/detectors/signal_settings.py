"""Signal dispositions, mask, timers, alternate stack and wakeup descriptor that a test has changed (signal(7))."""

from __future__ import annotations

# Those of signal look each value up in an enumeration.
from _signal import SIG_BLOCK, getsignal, pthread_sigmask  # type: ignore[import-not-found]  # typeshed has no _signal
from collections.abc import Callable, Hashable, Iterator
from errno import ENOENT
from typing import Any

from ...kernel.altstack import SS_DISABLE, sigaltstack
from ...kernel.proc import contents
from ...kernel.usage import stack_query
from ...unpatched import signal
from ..leak import Detector, Snapshot
from ..one_round import once
from ..own_status import own_status
from ..owned import Owned

__all__ = ["DETECTORS"]


class _Settings(Detector):
    """Settings, each of which always has a value: a leak is one that has another value than before."""

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield what has changed."""
        return (key for key in after if before.get(key) != after[key])

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture that restores it is still in use."""
        return owned.signals


class Dispositions(_Settings):
    """The disposition of every signal: the kernel's three sets, and Python's handler."""

    kind = "dispositions"
    outlasts = True

    def __init__(self) -> None:
        self._listed: tuple[tuple[int, int], dict[Hashable, Any]] | None = None
        self._handled: list[tuple[int, Any]] = []

    def snapshot(self) -> Snapshot:
        """Return the handlers of Python, and what the kernel ignores and catches."""
        status = once(own_status)
        if (ignored := status.ignored) is None or (caught := status.caught) is None:
            raise OSError(ENOENT, "/proc/self/status does not show signals")
        if (
            self._listed is not None
            and self._listed[0] == (ignored, caught)
            and all(getsignal(signo) is handler for signo, handler in self._handled)
        ):
            return self._listed[1]
        found: dict[Hashable, Any] = {}
        self._listed = (ignored, caught), found
        for signo in _SIGNALS:
            bit = 1 << (signo - 1)
            if ignored & bit:
                found[signo] = (signal.SIG_IGN, True, False)
            elif caught & bit:
                found[signo] = (signal.getsignal(signo), False, True)
            else:
                found[signo] = _DEFAULT
        self._handled = [(signo, getsignal(signo)) for signo in _SIGNALS if found[signo][2]]
        return found

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield what has changed, except by the plugin of time limits, which ends its timer when a test fails."""
        for key in super().differences(before, after):
            handlers = (before.get(key, _DEFAULT)[0], after[key][0])
            if not any(getattr(handler, "__module__", "") == "pytest_timeout" for handler in handlers):
                yield key

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the signal with its dispositions before and now."""
        return f"{_name(key)} was {_disposition(before[key])}, is {_disposition(after[key])}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return f"signal.signal({_name(key)}, …) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Restore Python's handler, or the default or ignored disposition."""
        handler, ignored, caught = before[key]
        if handler is None or (caught and not callable(handler)):
            return False  # a handler in C, which is not known
        signal.signal(int(str(key)), signal.SIG_IGN if ignored else handler)
        return True


class Mask(_Settings):
    """The blocked signals of the main thread."""

    kind = "signal-mask"
    outlasts = True

    def __init__(self) -> None:
        self._listed: Snapshot = {}

    def snapshot(self) -> Snapshot:
        """Return the mask."""
        mask = pthread_sigmask(SIG_BLOCK, ())
        if not self._listed or self._listed["mask"] != mask:
            self._listed = {"mask": frozenset(mask)}
        return self._listed

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the signals that are blocked or unblocked now."""
        new, gone = after[key] - before[key], before[key] - after[key]
        parts = [
            f"{', '.join(map(_name, sorted(found)))} {word}"
            for found, word in ((new, "blocked"), (gone, "unblocked"))
            if found
        ]
        return " and ".join(parts)

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return "signal.pthread_sigmask(signal.SIG_SETMASK, …) restores the mask"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Restore the mask."""
        signal.pthread_sigmask(signal.SIG_SETMASK, before[key])
        return True


class Timers(_Settings):
    """Interval timers that are armed, and timers of timer_create(2)."""

    kind = "timers"

    def __init__(self) -> None:
        self._listed: tuple[bytes, tuple[bool, ...], Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return whether each interval timer is armed, and the ids of POSIX timers, which are not used again."""
        armed = tuple(signal.getitimer(which)[0] > 0 for which in _ITIMERS.values())
        try:
            text = contents("/proc/self/timers")
        except FileNotFoundError:
            text = b""  # a kernel without CONFIG_CHECKPOINT_RESTORE
        if self._listed is None or self._listed[:2] != (text, armed):
            found: dict[Hashable, bool] = dict(zip(_ITIMERS, armed, strict=True))
            found.update((int(line[4:]), True) for line in text.splitlines() if line.startswith(b"ID: "))
            self._listed = text, armed, found
        # An interval timer has no identity: one that is armed may expire, and the next test arm it again.
        self.outlasts: bool = not any(armed)
        return self._listed[2]

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield what is armed now but was not."""
        return (key for key in after if after[key] and not before.get(key))

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the timer."""
        if isinstance(key, int):
            return f"POSIX timer {key} of timer_create(2)"
        return f"{key} is armed: {signal.getitimer(_ITIMERS[str(key)])[0]:.3f} s are left"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return "timer_delete(2) deletes it" if isinstance(key, int) else f"signal.setitimer(signal.{key}, 0) disarms it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Disarm an interval timer. A POSIX timer is known to its creator only."""
        if isinstance(key, int):
            return False
        signal.setitimer(_ITIMERS[str(key)], 0)
        return True


class AlternateStack(_Settings):
    """The alternate signal stack of the main thread (sigaltstack(2))."""

    kind = "alternate-stack"
    outlasts = True

    def __init__(self) -> None:
        self._query = stack_query()
        self._listed: tuple[bytes, Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return the stack."""
        found = self._query()
        if self._listed is None or self._listed[0] != found:
            self._listed = found, {"stack": sigaltstack()}
        return self._listed[1]

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the stacks before and now."""
        return f"the alternate stack was {_stack(before[key])}, is {_stack(after[key])}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return "sigaltstack(2) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Set the former stack."""
        sigaltstack(before[key])
        return True


class WakeupFd(_Settings):
    """The descriptor that signal handlers write to (signal.set_wakeup_fd())."""

    kind = "wakeup-fd"
    outlasts = True

    def snapshot(self) -> Snapshot:
        """Return the descriptor. It can only be read by setting another; it is set again at once."""
        found = signal.set_wakeup_fd(-1)
        if found != -1:
            signal.set_wakeup_fd(found)
        return {"fd": found}

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the descriptors before and now."""
        return f"the wakeup descriptor was {before[key]}, is {after[key]}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return f"signal.set_wakeup_fd({before[key]}) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Set the former descriptor."""
        signal.set_wakeup_fd(before[key])
        return True


_SIGNALS = sorted(int(signo) for signo in signal.valid_signals() if signo not in (signal.SIGKILL, signal.SIGSTOP))
_DEFAULT = (signal.SIG_DFL, False, False)
_ITIMERS = {name: int(getattr(signal, name)) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")}


def _name(signo: Hashable) -> str:
    try:
        return signal.Signals(int(str(signo))).name
    except ValueError:
        return f"signal {signo}"


def _disposition(found: tuple[Any, bool, bool]) -> str:
    handler, ignored, caught = found
    if ignored:
        return "ignored"
    if not caught:
        return "default"
    if callable(handler):
        return f"handled by {getattr(handler, '__qualname__', repr(handler))}"
    return "handled in C"


def _stack(found: Any) -> str:
    return "disabled" if found.flags & SS_DISABLE else f"{found.size} bytes at {found.sp:#x}"


DETECTORS: dict[str, Callable[[], Detector]] = {
    "dispositions": Dispositions,
    "signal-mask": Mask,
    "timers": Timers,
    "alternate-stack": AlternateStack,
    "wakeup-fd": WakeupFd,
}

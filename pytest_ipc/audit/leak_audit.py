"""Compare the state before and after a test, and charge the test with the differences.

A difference is looked at a second time before it is called a leak: what garbage still holds is released, and processes,
threads and sockets that are about to end get a moment.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..kernel.waiting import Deadline
from ..processes import audit_events, history
from ..unpatched import signal
from . import one_round
from .kept import add_kept
from .leak import Detector, Leak, Snapshot
from .not_here import NotHere
from .origin import Origin
from .owned import Owned, find_owned, owns_signals

__all__ = ["Audit", "Charges", "Findings"]

# What has appeared or changed with a fixture of a wider scope: by kind and identity, the value before it, or MISSING.
Charges = dict[str, dict[Hashable, Any]]
MISSING = object()

Wanted = Callable[[str, Hashable], bool]

_SETTLE = 0.5  # seconds for what is about to end


@dataclass
class Findings:
    """The leaks of one test, the failures to restore them, and what could not be looked at."""

    leaks: list[Leak] = field(default_factory=list)
    restored: list[Leak] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)


class Audit:
    """The leak check of one test at a time, by these detectors."""

    def __init__(self, detectors: Iterable[Detector], *, isolated: AbstractSet[str] = frozenset()) -> None:
        self._all = self._detectors = list(detectors)
        self._origin = Origin(isolated=isolated)
        self._kinds: AbstractSet[str] = frozenset()
        self._before: dict[str, Snapshot] = {}
        self._last: dict[str, Snapshot] = {}  # of the end of the last test, if nothing was suspected and changed
        self._failed: dict[str, str] = {}
        # Settings that earlier tests have changed, with the values from before: who restores one leaks nothing.
        self._changed: dict[tuple[str, Hashable], Any] = {}
        self.absent: dict[str, str] = {}  # kinds that this platform does not show, with the reason
        self._signals_owned = False  # by a fixture of a wider scope, which may restore them at the end of this test
        history.record()
        audit_events.watch()

    def begin(self, kinds: AbstractSet[str], *, follows: bool = False) -> None:
        """Take a snapshot of these kinds before a test.

        If the test *follows* the last end() with no code of others in between, snapshots of that may serve again.
        """
        if kinds != self._kinds:
            self._kinds, self._last = kinds, {}
            self._detectors = [detector for detector in self._all if detector.kind in kinds]
        history.forget()
        self._signals_owned = owns_signals()
        self._before = self._snapshots(self._detectors, self._last if follows else {})
        self._last = {}

    def forget(self) -> None:
        """Forget the state after the last test: another one runs, which is not compared."""
        self._last = {}

    def charge_scope(self, before: Mapping[str, Snapshot]) -> Charges:
        """Return what has appeared or changed since the snapshots *before*, and do not charge the test with it.

        It belongs to a fixture of a wider scope, which has just been set up.
        """
        found: Charges = {}
        for detector in self._all:
            kind = detector.kind
            after = self._snapshot(detector)
            if after is None or kind not in before or after == before[kind]:
                continue
            found[kind] = {key: before[kind].get(key, MISSING) for key in detector.differences(before[kind], after)}
            if kind in self._before:
                self._before[kind] = _with(self._before[kind], {key: after.get(key, MISSING) for key in found[kind]})
        return found

    def now(self) -> dict[str, Snapshot]:
        """Return snapshots by kind, for charge_scope()."""
        return self._snapshots(self._all)

    def end(self, kinds: Iterable[str], fix: Iterable[str] = (), ended: Sequence[Charges] = ()) -> Findings:
        """Return what the test has left, of these kinds; restore what is proved to be its, of the kinds in *fix*.

        What was charged to wider scopes that have *ended* with the test is left to end_of_scope().
        """
        charged = {(kind, key) for charges in ended for kind, keys in charges.items() for key in keys}
        return self._find(kinds, fix, self._before, lambda kind, key: (kind, key) not in charged)

    def end_of_scope(self, charges: Charges, kinds: Iterable[str], fix: Iterable[str] = ()) -> Findings:
        """Return what remains of the *charges* of a scope that has ended, as end() does for a test."""
        before = {kind: _with(self._before[kind], keys) for kind, keys in charges.items() if kind in self._before}
        return self._find(kinds, fix, before, lambda kind, key: key in charges[kind])

    def _find(
        self, kinds: Iterable[str], fix: Iterable[str], before: Mapping[str, Snapshot], wanted: Wanted
    ) -> Findings:
        all_kinds, fixed = frozenset(kinds), frozenset(fix)
        found = Findings()
        self._last = {}
        if suspects := self._suspects(all_kinds, before, wanted):
            gc.collect()
            if settling := {detector.kind for detector, _ in suspects if detector.settles}:
                Deadline(_SETTLE).until(lambda: not self._suspects(settling, before, wanted))
            suspects = self._suspects({detector.kind for detector, _ in suspects}, before, wanted)
            self._last = {}
        self._origin.look_again({int(key) for key in self._before.get("threads", ()) if str(key).isdecimal()})
        judged = []
        for detector, keys in suspects:
            then, after = before[detector.kind], self._snapshot(detector)
            if after is not None:
                judged += [(detector, leak, then, after) for leak in self._judge(detector, keys, then, after)]
        found.leaks = [leak for _, leak, _, _ in judged]
        for _, leak, then, _ in judged:
            self._changed.setdefault((leak.kind, leak.key), then.get(leak.key, MISSING))
        # Only now, as a descriptor proves whose the object is that it refers to.
        for detector, leak, then, after in judged:
            if detector.kind in fixed and leak.is_proved and self._restore(detector, leak, then, after):
                found.restored.append(leak)
        if self._failed:
            found.blind = [f"{kind}: {why}" for kind, why in self._failed.items() if kind in all_kinds]
            self._failed.clear()
        return found

    def _suspects(
        self, kinds: AbstractSet[str], before: Mapping[str, Snapshot], wanted: Wanted
    ) -> list[tuple[Detector, list[Hashable]]]:
        found = []
        owned = None
        one_round.begin()
        try:
            for detector in self._detectors:
                kind = detector.kind
                if kind not in kinds or kind not in before:
                    continue
                try:
                    after = detector.snapshot()
                    if detector.outlasts:
                        self._last[kind] = after
                    if after is before[kind] or after == before[kind]:
                        continue
                    keys = [key for key in detector.differences(before[kind], after) if wanted(kind, key)]
                    if keys:
                        owned = owned or self._owned()
                        keys = [key for key in keys if not detector.is_owned(key, after, owned)]
                        keys = [key for key in keys if self._changed.get((kind, key), self) != after.get(key, MISSING)]
                except Exception as error:  # noqa: BLE001 - a detector never fails a test
                    self._note_failure(kind, error)
                    continue
                if keys:
                    found.append((detector, keys))
        finally:
            one_round.end()
        return found

    def _owned(self) -> Owned:
        found = find_owned()
        found.signals |= self._signals_owned
        add_kept(found)
        return found

    def _judge(self, detector: Detector, keys: list[Hashable], before: Snapshot, after: Snapshot) -> Iterator[Leak]:
        for key in keys:
            try:
                proof = detector.proof(key, after, self._origin)
                if proof is not None:
                    what, remedy = detector.describe(key, before, after), detector.remedy(key, before, after)
                    if detector.place in self._origin.isolated:
                        remedy = "it ends with the namespace of the run"
                    yield Leak(detector.kind, what, proof, remedy, key, detector.is_held(key, after))
            except FileNotFoundError:
                continue  # it is gone by now
            except Exception as error:  # noqa: BLE001 - a detector never fails a test
                self._note_failure(detector.kind, error)

    def _restore(self, detector: Detector, leak: Leak, before: Snapshot, after: Snapshot) -> bool:
        try:
            return detector.restore(leak.key, before, after)
        except Exception as error:  # noqa: BLE001 - a detector never fails a test
            self._note_failure(detector.kind, error, f"{leak.what} could not be restored: ")
            return False

    def _snapshots(
        self, detectors: Iterable[Detector], known: Mapping[str, Snapshot] = MappingProxyType({})
    ) -> dict[str, Snapshot]:
        found = dict(known)
        one_round.begin()
        try:
            for detector in detectors:
                if detector.kind in known:
                    continue
                try:
                    found[detector.kind] = detector.snapshot()
                except Exception as error:  # noqa: BLE001 - a detector never fails a test
                    self._note_failure(detector.kind, error)
        finally:
            one_round.end()
        return found

    def _snapshot(self, detector: Detector) -> Snapshot | None:
        try:
            return detector.snapshot()
        except Exception as error:  # noqa: BLE001 - a detector never fails a test
            self._note_failure(detector.kind, error)
            return None

    def _note_failure(self, kind: str, error: Exception, what: str = "") -> None:
        """Note why a detector could not look. An exception of a signal handler is the test's, and raised again."""
        if _is_from_handler(error):
            raise error
        text = f"{what}{getattr(error, 'strerror', None) or error or type(error).__name__}"
        (self.absent if isinstance(error, NotHere) else self._failed)[kind] = text


def _with(snapshot: Snapshot, values: Mapping[Hashable, Any]) -> Snapshot:
    """Return *snapshot* with these *values*; MISSING removes a key."""
    return {key: value for key, value in {**snapshot, **values}.items() if value is not MISSING}


def _is_from_handler(error: Exception) -> bool:
    """Return whether a signal handler raised *error*, as that of a time limit does."""
    frames = []
    frame = error.__traceback__
    while frame is not None:
        frames.append(frame.tb_frame)
        frame = frame.tb_next
    if all(each.f_globals.get("__name__", "").startswith("pytest_ipc.") for each in frames):
        return False  # before all handlers are asked for
    handlers = {
        getattr(getattr(handler, "__func__", handler), "__code__", None)
        for handler in map(signal.getsignal, signal.valid_signals())
        if callable(handler)
    }
    return any(each.f_code in handlers for each in frames)

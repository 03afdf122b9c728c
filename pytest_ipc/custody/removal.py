"""Remove the objects of a dead process's ledger, each in its namespace and only if it is proven the recorded one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from ..printable import plain
from ..unpatched import os
from .kinds import KINDS, UNKNOWN, Entry, Kind
from .machine import boot_id
from .namespaces import is_certain, is_here, process_in
from .other_namespaces import in_namespace
from .parse import ParsedLedger
from .private_folder import Identity
from .state_dir import StateDir

__all__ = ["Swept", "end_all"]


class Swept:
    """The result of a sweep: the objects `removed` and `left`, and the invalid files `refused`, each a line.

    `places` are the directories swept; `by_run` has the removed and left objects of each run, by its name; `ledgers`
    has the files of the ledgers that were removed with their objects.
    """

    def __init__(self, removed: Sequence[str] = (), left: Sequence[str] = (), refused: Sequence[str] = ()) -> None:
        self.removed: list[str] = list(removed)
        self.left: list[str] = list(left)
        self.refused: list[str] = list(refused)
        self.places: list[str] = []
        self.by_run: dict[str, tuple[list[str], list[str]]] = {}
        self.ledgers: set[Identity] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Swept) and self._objects() == other._objects()

    def __repr__(self) -> str:
        return f"Swept{self._objects()}"

    def _objects(self) -> tuple[list[str], list[str], list[str]]:
        return self.removed, self.left, self.refused

    def leave(self, text: str) -> None:
        """Add a remaining object and the reason, as one printable line."""
        self.left.append(plain(text))

    def refuse(self, text: str) -> None:
        """Add an invalid ledger or record, as one printable line."""
        self.refused.append(plain(text))

    def add(self, other: Swept) -> None:
        """Add the result of another sweep."""
        self.removed += other.removed
        self.left += other.left
        self.refused += other.refused
        for run, (removed, left) in other.by_run.items():
            mine = self.by_run.setdefault(run, ([], []))
            mine[0].extend(removed)
            mine[1].extend(left)
        self.ledgers |= other.ledgers


def end_all(state_dir: StateDir, ledger: ParsedLedger, done: Swept, *, dry_run: bool, own: bool) -> None:
    """Remove the objects of a ledger, or with *dry_run* only find them, and add the result to *done*."""
    here = cache(is_here)  # this process stays in its namespace, which /proc takes longer to show than a removal
    for entry in ledger.open:
        _end(ledger, entry, done, here, dry_run=dry_run, own=own)
    if ledger.doubt:
        done.refuse(f"{state_dir.path}/{ledger.doubt}")


def _end(
    ledger: ParsedLedger, entry: Entry, done: Swept, is_here: Callable[[str], bool], *, dry_run: bool, own: bool
) -> None:
    kind = KINDS.get(entry.kind, UNKNOWN)
    text = plain(f"{kind.describe(entry)}{_made_by(ledger, entry)}")
    if kind is UNKNOWN:
        done.leave(text)
        return
    if ledger.boot != boot_id():
        if not kind.lasting:
            return
        if entry.made is not None:
            entry.made["dev"] = _device_of(entry.details["path"])  # device numbers change at each boot
    try:
        outcome = _outcome(kind, ledger, entry, is_here, dry_run=dry_run, own=own)
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        outcome = ["left", error.strerror or str(error)]
    match outcome:
        case ["removed"]:
            done.removed.append(text)
        case ["left", doubt]:
            done.leave(f"{text}: {plain(doubt)}")


def _outcome(
    kind: Kind, ledger: ParsedLedger, entry: Entry, is_here: Callable[[str], bool], *, dry_run: bool, own: bool
) -> list[str]:
    """Remove one object in its namespace. Return ["removed"], ["left", reason] or [] if it is gone. Raises OSError."""
    if ledger.is_remote:
        if entry.kind == "process":
            # A PID namespace ends with its processes.
            gone = process_in(ledger.pids, below=own) is None
            return [] if gone else ["left", f"it is in {ledger.pids}; run `pytest-ipc sweep` there"]
        entry.pid = -1  # its pid is not valid here
    where = entry.details["ipc"] if "ipc" in kind.needs else ""
    here = not where or is_here(where)
    if not (not where or is_certain(where) or (here and own) or kind.is_unique(entry)):
        if process_in(where, below=own) is None:
            return []
        return [
            "left",
            f"whether {where} is the namespace that it was made in or a later one, this kernel does not show",
        ]
    if here:
        return _look_and_end(kind, entry, dry_run=dry_run)
    try:
        return in_namespace(where, lambda: _look_and_end(kind, entry, dry_run=dry_run), below=own)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"it is in {where}; run `pytest-ipc sweep` there: {error.strerror}") from None


def _look_and_end(kind: Kind, entry: Entry, *, dry_run: bool) -> list[str]:
    """Remove one object of this namespace if it exists and is proven ours. Returns and raises as _outcome()."""
    found = kind.find(entry)
    if found is None:
        return []
    doubt = kind.prove(entry, found)
    if doubt is not None:
        return ["left", doubt]
    if not dry_run:
        kind.remove(entry, found)
    return ["removed"]


def _device_of(path: str) -> int:
    try:
        return os.lstat(path).st_dev
    except OSError:
        return 0


def _made_by(ledger: ParsedLedger, entry: Entry) -> str:
    test = f" by {entry.test}" if entry.test else ""
    return f", made{test} in process {ledger.process.pid}"

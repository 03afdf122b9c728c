"""The owned objects: every open record of every ledger, with owner, age, test and IPC namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..printable import plain
from ..unpatched import os, time
from .kinds import KINDS, UNKNOWN
from .namespaces import process_in
from .parse import ParsedLedger, Refused, ledger_names, read, run_of
from .state_dir import state_dir_path, state_dirs

__all__ = ["Owned", "Status", "holder_of", "lines", "owners", "status"]


@dataclass(frozen=True)
class Owned:
    """An owned object: what it is, which test made it, when, in which IPC namespace, and its owner, with a state.

    `state` is "alive", "dead" or why that cannot be determined here.
    """

    kind: str
    what: str
    test: str
    since: float
    namespace: str
    is_gone: bool
    process: int
    owner: str
    state: str

    def line(self) -> str:
        """Return the object in one printable line."""
        test = f", made by {self.test}" if self.test else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        where = f", in {self.namespace}" if self.namespace else ""
        gone = ", which is gone with all in it" if self.is_gone else ""
        state = {"alive": "", "dead": ", which is dead: `pytest-ipc sweep` cleans up"}.get(
            self.state, f"; whether it is alive cannot be determined here: {self.state}"
        )
        return plain(f"{self.what}{test}, since {since}{where}{gone}, owned by {self.owner}{state}")


@dataclass
class Status:
    """The owned objects by run, named by its first process; the state directories, and invalid ledgers."""

    runs: dict[str, list[Owned]] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def status() -> Status:
    """Return the objects that runs own. Raises StateDirError."""
    found = Status()
    for state_dir in state_dirs(found.refused):
        found.places.append(plain(state_dir.path))
        for name in ledger_names(state_dir.fd):
            try:
                ledger, fd = read(state_dir.fd, name)
            except FileNotFoundError:
                continue
            except Refused as refusal:
                found.refused.append(f"{state_dir.path}/{refusal}")
                continue
            os.close(fd)
            if ledger.doubt:
                found.refused.append(f"{state_dir.path}/{ledger.doubt}")
            if ledger.open:
                found.runs.setdefault(run_of(ledger), []).extend(_owned(ledger))
    found.refused = list(map(plain, found.refused))
    return found


def lines(found: Status) -> Iterator[str]:
    """Yield the lines that `pytest-ipc status` prints."""
    for place in found.places:
        yield f"ledgers in {place}"
    for run, objects in found.runs.items():
        yield f"{run}:"
        for owned in objects:
            yield f"  {owned.line()}"
    for line in found.refused:
        yield f"refused: {line}"
    if not found.places:
        yield plain(f"no state directory exists; the next run creates {state_dir_path()}")
    count = sum(map(len, found.runs.values()))
    yield f"{count} objects are owned" if count > 1 else f"{'1 object is' if count else 'no objects are'} owned"


def _owned(ledger: ParsedLedger) -> Iterator[Owned]:
    worker = f" (worker {ledger.worker})" if ledger.worker else ""
    owner = f"process {ledger.process.pid}{worker}" + (f" of {ledger.pids}" if ledger.is_remote else "")
    state = plain(ledger.unjudged) or ("alive" if ledger.alive else "dead")
    for entry in ledger.open:
        namespace = entry.details.get("ipc", "")
        yield Owned(
            entry.kind,
            plain(KINDS.get(entry.kind, UNKNOWN).describe(entry)),
            plain(entry.test or ""),
            entry.details["at"],
            plain(namespace),
            _is_gone(namespace),
            ledger.process.pid,
            plain(owner),
            state,
        )


def _is_gone(namespace: str) -> bool:
    """Return whether the namespace, and so its objects, are gone; False if that cannot be determined here."""
    try:
        return bool(namespace) and process_in(namespace) is None
    except OSError:
        return False


def _ledgers() -> Iterator[ParsedLedger]:
    """Yield the valid ledgers of all state directories. Raises StateDirError."""
    for state_dir in state_dirs([]):
        for name in ledger_names(state_dir.fd):
            try:
                ledger, fd = read(state_dir.fd, name)
            except (FileNotFoundError, Refused):
                continue
            os.close(fd)
            yield ledger


def owners() -> dict[str, str]:
    """Return the owner of each recorded object by kind and id, name or key: "sysv-shm 5". Raises StateDirError."""
    found: dict[str, str] = {}
    for ledger in _ledgers():
        owner = f"process {ledger.process.pid}" + (
            "" if ledger.alive else ", which is dead: `pytest-ipc sweep` cleans up"
        )
        for entry in ledger.open:
            details, made = entry.details, entry.made or {}
            names = [details.get(key) for key in ("own", "name")]
            for key in (made.get("id"), *(str(each).lstrip("/") for each in names if each)):
                if key is not None:
                    prefix = "sem." if entry.kind == "posix-sem" else ""
                    found[f"{entry.kind} {prefix}{key}"] = owner
            if details.get("key"):
                found[f"{entry.kind} key {details['key']}"] = owner
    return found


def holder_of(kind: str, detail: str, value: object) -> tuple[int, str]:
    """Return how many open records of *kind* have that *value*, and one of their owners. Raises StateDirError."""
    count, owner = 0, ""
    for ledger in _ledgers():
        for entry in ledger.open if ledger.alive else ():
            if entry.kind == kind and entry.details.get(detail) == value:
                count += 1
                owner = f"process {ledger.process.pid}" + (f" ({entry.test})" if entry.test else "")
    return count, owner

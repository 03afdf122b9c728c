"""The owned objects: every open record of every ledger, with owner, age, test and IPC namespace."""

from __future__ import annotations

from collections.abc import Iterator

from ..printable import plain
from ..unpatched import os, time
from .kinds import KINDS, UNKNOWN
from .namespaces import process_in
from .parse import ParsedLedger, Refused, ledger_names, read
from .state_dir import state_dir_path, state_dirs

__all__ = ["holder_of", "owners", "status"]


def status() -> Iterator[str]:
    """Yield the lines that `pytest-ipc status` prints. Raises StateDirError."""
    count, refused = 0, list[str]()
    looked: list[str] = []
    for state_dir in state_dirs(refused):
        looked.append(state_dir.path)
        yield plain(f"ledgers in {state_dir.path}")
        for name in ledger_names(state_dir.fd):
            try:
                ledger, fd = read(state_dir.fd, name)
            except FileNotFoundError:
                continue
            except Refused as refusal:
                refused.append(f"{state_dir.path}/{refusal}")
                continue
            os.close(fd)
            if ledger.doubt:
                refused.append(f"{state_dir.path}/{ledger.doubt}")
            for line in _lines(ledger):
                count += 1
                yield line
    for line in refused:
        yield plain(f"refused: {line}")
    if not looked:
        yield plain(f"no state directory exists; the next run creates {state_dir_path()}")
    yield f"{count} objects are owned" if count else "no objects are owned"


def _lines(ledger: ParsedLedger) -> Iterator[str]:
    worker = f" (worker {ledger.worker})" if ledger.worker else ""
    owner = f"process {ledger.process.pid}{worker}"
    if ledger.is_remote:
        owner += f" of {ledger.pids}"
    if reason := ledger.unjudged:
        owner += f"; whether it is alive cannot be determined here: {reason}"
    elif not ledger.alive:
        owner += ", which is dead: `pytest-ipc sweep` cleans up"
    for entry in ledger.open:
        what = KINDS.get(entry.kind, UNKNOWN).describe(entry)
        test = f", made by {entry.test}" if entry.test else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.details["at"]))
        where = f", in {entry.details['ipc']}{_gone(entry.details['ipc'])}" if "ipc" in entry.details else ""
        yield plain(f"{what}{test}, since {since}{where}, owned by {owner}")


def _gone(namespace: str) -> str:
    """Return a note if the namespace, and so its objects, are gone; else ""."""
    try:
        return ", which is gone with all in it" if namespace and process_in(namespace) is None else ""
    except OSError:  # it cannot be determined here
        return ""


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

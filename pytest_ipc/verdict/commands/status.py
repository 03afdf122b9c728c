"""pytest-ipc status: list the objects that running tests own, or with --all every IPC object of the machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...printable import counted, plain
from ..command_error import CommandError

if TYPE_CHECKING:
    from ...audit.orphans import Judged

__all__ = ["AGE", "add", "age", "as_json", "look", "print_anything"]

# Seconds without use after which an object is an orphan: a program may hand one over before another attaches it.
AGE = 60.0

_EPILOG = """\
examples:
  pytest-ipc status                  # what running tests own, by run
  pytest-ipc status --json           # the same, for programs
  pytest-ipc status --all            # every IPC object with its users, and the orphans, which no process can use
  pytest-ipc status --all --check    # the same, with exit status 1 if there are orphans: for CI runners

exit status: 0, or with --check 1 if there are orphans; 2 for a usage error
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "status",
        help="List what runs own now, or every IPC object",
        description="List the IPC objects and child processes that running tests own: by whom, since when, created by "
        "which test, in which IPC namespace; and the state directories. With --all list every System V object of this "
        "IPC namespace and every visible POSIX object, of any creator, with its users.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--all", action="store_true", help="List every IPC object that is visible here")
    parser.add_argument("--check", action="store_true", help="With --all: exit status 1 if there are orphans")
    parser.add_argument("--json", action="store_true", help="As JSON")
    parser.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help=f"With --all: count only objects as orphans that are unused for AGE: 90s, 10m, 1h, 2d (default: {AGE:g}s)",
    )
    parser.set_defaults(command=_run)


def age(text: str) -> float:
    """Return the seconds of an age like 90s, 10m, 1h or 2d."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
        if not 0 <= seconds < float("inf"):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"an age must be a number with s, m, h or d, as in 90s, not {text!r}"
        ) from None
    return seconds


def print_anything() -> None:
    """Allow names on the terminal that its encoding does not have."""
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(options: argparse.Namespace) -> int:
    from ...custody.state_dir import StateDirError
    from ...custody.status import lines, status

    print_anything()
    if not options.all:
        if options.check or options.older_than is not None:
            raise CommandError("--check and --older-than need --all")
        try:
            found = status()
        except StateDirError as error:
            raise CommandError(plain(f"{error.filename}: {error.strerror}")) from error
        if options.json:
            runs = [{"run": run, "objects": [asdict(owned) for owned in owned]} for run, owned in found.runs.items()]
            print(json.dumps({"places": found.places, "runs": runs, "refused": found.refused}, indent=2))
        else:
            for line in lines(found):
                print(line)
        return 0
    judged, unseen, young = look(options.older_than)
    orphans = [each for each in judged if each.orphan]
    if options.json:
        print(json.dumps({"objects": [as_json(each) for each in judged], "unseen": unseen}, indent=2))
    else:
        for each in judged:
            print(plain(f"{'orphan ' if each.orphan else ''}{each.object.label}, user {each.object.uid}: {each.why}"))
        for sentence in unseen:
            print(sentence)
        print(f"{counted(len(judged), 'object')}, {counted(len(orphans), 'orphan')}{'; ' if young else ''}{young}")
        if orphans:
            print(f"pytest-ipc sweep --orphans removes {'it' if len(orphans) == 1 else 'them'}, after asking")
    return 1 if options.check and orphans else 0


def look(older_than: float | None) -> tuple[list[Judged], list[str], str]:
    """Judge every object that is visible here, an orphan by default after AGE seconds.

    Also return a sentence for each kind that cannot be listed, and how many objects are too young, "" if none is.
    """
    from ...audit.inventory import inventory
    from ...audit.orphans import judge
    from ...audit.users import find_users
    from ...custody.status import owners

    users = find_users()
    objects, unseen = inventory(users)
    least = AGE if older_than is None else older_than
    judged = judge(objects, users, owners(), least)
    young = sum(each.is_young for each in judged)
    be = "is" if young == 1 else "are"
    return judged, unseen, f"{young} {be} younger than {least:g} s (--older-than)" if young else ""


def as_json(judged: Judged) -> dict[str, Any]:
    """Return the object and its judgement for JSON."""
    found = judged.object
    return {
        "kind": found.kind,
        "label": plain(found.label),
        "id": found.id if found.kind.startswith("sysv") else None,
        "name": found.name or None,
        "size": found.size,
        "uid": found.uid,
        "mode": f"{found.mode:#o}",
        "changed": found.changed,
        "creator": found.creator,
        "last_users": sorted(found.last_users),
        "users": sorted(found.users - {0}),
        "orphan": judged.orphan,
        "why": plain(judged.why),
    }

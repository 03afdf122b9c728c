"""pytest-ipc sweep: remove the objects of dead runs, or with --orphans those of any dead process."""

from __future__ import annotations

import argparse
import json
import sys

from ...printable import plain
from ..command_error import CommandError
from .status import AGE, age, as_json, look, print_anything

__all__ = ["add"]

_EPILOG = """\
examples:
  pytest-ipc sweep                                 # objects leaked by dead runs of pytest
  pytest-ipc sweep --orphans --dry-run             # show all orphans, with the proof of each
  pytest-ipc sweep --orphans --older-than 1h --yes # remove them without asking: for CI runners

exit status: 0 if nothing remains, 1 if an object was not removed, 2 for a usage error; with --dry-run 0 if nothing
would remain, 1 if an object would be kept. pytest-ipc status --all --check fails if there are orphans
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "sweep",
        help="Remove the objects of dead runs, or every orphaned IPC object",
        description="Remove the IPC objects and end the processes that dead pytest runs leaked. Only objects that a "
        "ledger of a dead process records and the kernel confirms are removed; all others are kept and reported. The "
        "reaper of each run and the start of the next do the same. With --orphans remove every IPC object of "
        "any creator that no process has attached, mapped or open, and whose creator and last users have ended.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dry-run", action="store_true", help="Show what would be removed and touch nothing")
    parser.add_argument("--orphans", action="store_true", help="Remove orphans of any creator, after confirmation")
    parser.add_argument("--yes", action="store_true", help="With --orphans: do not ask")
    parser.add_argument("--json", action="store_true", help="As JSON; with --orphans also --dry-run or --yes")
    parser.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help=f"With --orphans: remove only objects that are unused for AGE: 90s, 10m, 1h, 2d (default: {AGE:g}s)",
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    if not options.orphans:
        if options.yes or options.older_than is not None:
            raise CommandError("--yes and --older-than need --orphans")
        return _sweep(options.dry_run, as_json=options.json)
    if options.json and not (options.dry_run or options.yes):
        raise CommandError("--json must be used with --dry-run or --yes: there is no prompt")
    return _sweep_orphans(options)


def _sweep(dry_run: bool, *, as_json: bool) -> int:
    from ...custody.state_dir import StateDirError
    from ...custody.sweep import sweep

    try:
        done = sweep(dry_run=dry_run)
    except StateDirError as error:
        raise CommandError(plain(f"{error.filename}: {error.strerror}")) from error
    print_anything()
    if as_json:
        runs = [{"run": run, "removed": removed, "left": left} for run, (removed, left) in done.by_run.items()]
        places = list(map(plain, done.places))
        print(
            json.dumps(
                {"places": places, "runs": runs, "left": done.left, "refused": done.refused, "removed": not dry_run},
                indent=2,
            )
        )
        return 1 if done.left or done.refused else 0
    for run, (removed, left) in done.by_run.items():
        print(f"{run}:")
        for line in removed:
            print(f"  {'would remove' if dry_run else 'removed'} {line}")
        for line in left:
            print(f"  left {line}")
    named = {line for _, left in done.by_run.values() for line in left}
    for line in done.left:
        if line not in named:  # of a ledger that could not be read to its end
            print(f"left {line}")
    for line in done.refused:
        print(f"refused {line}")
    looked = ", ".join(map(plain, done.places))
    if not looked:
        print("nothing was leaked: there is no state directory")
    elif not (done.removed or done.left or done.refused):
        print(f"nothing was leaked in {looked}")
    else:
        print(f"looked in {looked}")
    return 1 if done.left or done.refused else 0


def _sweep_orphans(options: argparse.Namespace) -> int:
    from ...audit.orphans import obstacle, remove

    print_anything()
    judged, unseen, young = look(options.older_than)
    orphans = [each for each in judged if each.orphan]
    failures: dict[str, str] = {}
    if options.dry_run:
        failures = {each.object.label: why for each in orphans if (why := obstacle(each.object)) is not None}
    if not options.json:
        for each in orphans:
            label = each.object.label
            if why := failures.get(label):
                print(plain(f"would keep {label}: {why}"))
            else:
                print(plain(f"{'would remove ' if options.dry_run else ''}{label}: {each.why}"))
        for sentence in unseen:
            print(sentence)
        if not orphans:
            print(f"there are no orphans{'; ' if young else ''}{young}")
        elif young:
            print(f"{young} and kept")
    if orphans and not options.dry_run:
        if not options.yes and not _confirmed(len(orphans)):
            return 1
        for each in orphans:
            if (why := remove(each.object)) is not None:
                failures[each.object.label] = why
            if not options.json:
                print(plain(f"kept {each.object.label}: {why}" if why else f"removed {each.object.label}"))
    if options.json:
        found = [as_json(each) | {"kept": failures.get(each.object.label)} for each in orphans]
        print(json.dumps({"orphans": found, "removed": not options.dry_run, "unseen": unseen}, indent=2))
    return 1 if failures else 0


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        print("pytest-ipc: the standard input must be a terminal to confirm; --yes removes them", file=sys.stderr)
        return False
    sys.stdout.flush()
    return input(f"Remove {'it' if count == 1 else f'these {count} objects'}? [y/N] ").strip().lower() in ("y", "yes")

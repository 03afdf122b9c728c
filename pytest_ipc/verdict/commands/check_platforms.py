"""pytest-ipc check --platform NAME=COMMAND: run the suite on several platforms, with a report for each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from .. import suite
from ..command_error import CommandError, did_you_mean
from ..reports import expectations
from ..runner import build_bundle
from ..runner.remote import Platform, judge
from ..runner.stop import interrupted_by_signals
from . import arguments
from .platforms_screen import PlatformsScreen

__all__ = ["check"]


def check(
    options: argparse.Namespace,
    every: Sequence[suite.ClauseTest],
    wanted: Sequence[suite.ClauseTest],
    seed: int | None,
    patience: float | None,
    *,
    longer_if_slow: bool,
) -> int:
    """Run `pytest-ipc check --platform` and return the exit status.

    A platform that is silent for *patience* seconds is given up.
    """
    platforms: list[Platform] = options.platforms
    try:
        expected = _prepare(options, platforms, {clause.id for clause in every})
        content = build_bundle.opening()
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    from ..reports.terminal import new_console, new_progress

    console = new_console()
    progress = new_progress(console)
    screen = PlatformsScreen(console, progress, len(wanted), options, expected)
    if seed is not None:
        console.print(f"in the random order of --shuffle {seed}")
    if console.is_terminal and screen.verbosity >= 0:
        screen.show_rows(platforms)
    request: dict[str, Any] = {
        "names": options.names,
        "processes": options.processes,
        "shuffle": seed,
        "thorough": options.thorough,
    }
    with interrupted_by_signals() as stop:
        try:
            judge(
                platforms,
                list(wanted),
                content,
                request,
                screen,
                patience=patience,
                longer_if_slow=longer_if_slow,
                at_once=options.at_once,
            )
        except KeyboardInterrupt:
            screen.statuses.append(128 + stop.signo)
            console.print("Interrupted; the verdicts so far are reported.")
        screen.end(platforms)
        screen.write_files()
    return screen.exit_status


def _prepare(
    options: argparse.Namespace, platforms: list[Platform], ids: set[str]
) -> dict[str, dict[str, expectations.Expectation]]:
    """Check all arguments before a platform is started, and return the expectations by platform. CommandError."""
    names = [platform.name for platform in platforms]
    arguments.check_names(platforms, options.name)
    known = [path for path in options.expect if str(path) in expectations.bundled() and not path.exists()]
    folders = [path for path in options.expect if path not in known]
    for folder in folders:
        if not folder.is_dir():
            raise CommandError(
                f"--expect with --platform must be a directory with a NAME.toml for each platform, not {folder}, or "
                "bundled expectations, which are then for all; an empty directory expects no deviation"
            )
    others = {path.stem for folder in folders for path in folder.glob("*.toml")} - set(names)
    for name in names:
        exists = any((folder / f"{name}.toml").exists() for folder in folders)
        if not exists and (close := did_you_mean(name, others)):
            print(f"pytest-ipc: no file expects the deviations of {name}{close}", file=sys.stderr)
    expected = {
        name: expectations.read_all(
            [*known, *(path for folder in folders if (path := folder / f"{name}.toml").exists())], ids
        )
        for name in names
    }
    if options.report is not None:
        arguments.prepare_folder("--report", options.report, platforms)
    return expected

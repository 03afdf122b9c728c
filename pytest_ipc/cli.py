# PYTHON_ARGCOMPLETE_OK
"""The command pytest-ipc: arguments, exit status and usage errors.

Each subcommand has a module with late imports, so that `status` does not import pytest.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence

from ._version import __version__
from .verdict.command_error import CommandError
from .verdict.commands import (
    badge,
    bench,
    bundle,
    check,
    compare,
    completion,
    expect,
    platform,
    reproduce,
    status,
    sweep,
)
from .verdict.standard_streams import standard_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return the exit status."""
    parser = new_parser()
    completion.complete(parser)
    with standard_streams() as output:
        try:
            status = _run(parser, arguments)
        except SystemExit as error:  # argparse has shown a help text or a usage error
            status = error.code if isinstance(error.code, int) else 2
        sys.stdout.flush()
        failure = None if output is None else output.failure
        if failure is None or status == 2:
            return status
        if failure.errno == errno.EPIPE:  # the reader has left, which is not a failure of the command
            return 141
        _say(f"the standard output cannot be written: {os.strerror(failure.errno or 0)}")
        return status if status > 128 else 3


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    options = parser.parse_args(arguments)
    try:
        result: int = options.command(options)
    except CommandError as error:
        _say(str(error))
        return error.status
    except KeyboardInterrupt as error:
        _say("interrupted")
        # The argument is the name of a signal other than SIGINT.
        return 128 + getattr(signal, str(error), signal.SIGINT)
    return result


def _say(sentence: str) -> None:
    print(f"pytest-ipc: {sentence}", file=sys.stderr)


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="pytest-ipc",
        description="IPC objects that cannot outlive their test; a check of this platform's IPC against the manual.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-ipc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check.add(commands)
    platform.add(commands)
    expect.add(commands)
    compare.add(commands)
    reproduce.add(commands)
    badge.add(commands)
    status.add(commands)
    sweep.add(commands)
    bundle.add(commands)
    bench.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

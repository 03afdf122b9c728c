# PYTHON_ARGCOMPLETE_OK
"""The command pytest-ipc: arguments, exit status and usage errors.

Each subcommand has a module with late imports, so that `status` does not import pytest.
"""

from __future__ import annotations

import argparse
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return the exit status."""
    parser = new_parser()
    completion.complete(parser)
    options = parser.parse_args(arguments)
    try:
        result: int = options.command(options)
        sys.stdout.flush()  # here, not at interpreter exit, to catch BrokenPipeError
    except CommandError as error:
        print(f"pytest-ipc: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        # The reader of the output is gone, which is not a failure of the command.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt as error:
        print("pytest-ipc: interrupted", file=sys.stderr)
        # The argument is the name of a signal other than SIGINT.
        return 128 + getattr(signal, str(error), signal.SIGINT)
    return result


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

"""The command pytest-ipc: arguments, exit status, and one sentence for each usage error.

Each subcommand has a module, which imports what it needs when it is called: `status` does not wait for pytest.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from ._version import __version__
from .verdict.commands import badge, bundle, check, compare, expect, platform, status, sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status."""
    options = _parser().parse_args(arguments)
    try:
        result: int = options.command(options)
        sys.stdout.flush()  # here, where it can be told from a failure, and not when the interpreter ends
    except BrokenPipeError:
        # Whoever read the output has left; that is no failure of the check, and nothing more can be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt as error:
        print("pytest-ipc: interrupted", file=sys.stderr)
        return 128 + getattr(signal, str(error), signal.SIGINT)  # the text is the signal's name if it was not SIGINT
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-ipc",
        description="IPC objects that cannot outlive their test, and whether this platform's IPC is as its manual pages say.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-ipc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check.add(commands)
    platform.add(commands)
    expect.add(commands)
    compare.add(commands)
    badge.add(commands)
    status.add(commands)
    sweep.add(commands)
    bundle.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""pytest-ipc bundle: write the suite and its dependencies to one file."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bundle",
        help="Write the suite and its dependencies to one file",
        description="Write the suite and its dependencies to one file, which any Python 3.11 or later runs without an "
        "installation, on any CPU architecture: python3 pytest-ipc.pyz check --report out.json. It unpacks itself into "
        "a private directory below the temporary directory and removes that at its end.",
        epilog="Packages that are not pure Python here are downloaded by pip: PIP_INDEX_URL, PIP_FIND_LINKS, "
        "PIP_NO_INDEX.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("pytest-ipc.pyz"),
        metavar="FILE",
        help="The file to write (default: pytest-ipc.pyz)",
    )
    parser.set_defaults(command=_bundle)


def _bundle(options: argparse.Namespace) -> int:
    from ..command_error import writing
    from ..reports import atomic
    from ..runner.build_bundle import opening

    target: Path = options.output
    with writing("the bundle", target):
        atomic.check_writable(target)
        content = opening()
        atomic.write(target, content, executable=True)
    print(f"{target}: {len(content) / 1_000_000:.1f} MB; run it with: python3 {target} check")
    return 0

"""pytest-ipc bundle: write the suite and its dependencies to one file."""

from __future__ import annotations

import argparse
import sys
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
    from ..reports import atomic
    from ..runner.build_bundle import BundleError, opening

    target: Path = options.output
    try:
        atomic.check_writable(target)
        content = opening()
        atomic.write(target, content, executable=True)
    except BundleError as error:
        print(f"pytest-ipc: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pytest-ipc: the bundle cannot be written to {target}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{target}: {len(content) / 1_000_000:.1f} MB; run it with: python3 {target} check")
    return 0

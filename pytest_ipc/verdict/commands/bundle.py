"""pytest-ipc bundle: write the suite and its dependencies to one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the command line."""
    parser = commands.add_parser(
        "bundle",
        help="Write the suite and all it needs into one file",
        description="Write the suite and all it needs into one file, which any Python 3.11 or later runs with nothing "
        "installed, on any processor: python3 pytest-ipc.pyz check --report out.json. It unpacks itself into a private folder "
        "of the temp folder and removes that at its end.",
        epilog="What is not pure Python here is fetched by pip, with its settings: PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX.",
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

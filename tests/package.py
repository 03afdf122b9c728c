"""Build the distributions as for a release, and check them: names, metadata, reproducibility, the tests of the sdist.

    python -m tests.package [--out FOLDER] [--tests PATH ...]

The wheel and the sdist are built twice and must be the same. The sdist is unpacked, installed in a virtual environment
and tested there with its own tests, by default a few of them. `tox -e package` runs this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
QUICK = [
    "tests/test_api.py",
    "tests/test_public.py",
    "tests/test_installed.py",
    "tests/documentation/test_reference.py",
]

# What the sdist and the wheel have at their tops.
SDIST = {
    *("pytest_ipc", "conformance", "tests", "docs", "benchmarks"),
    *("pyproject.toml", "tox.ini", "conftest.py", "PKG-INFO", ".gitignore"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "LICENSE"),
}
WHEEL = {"pytest_ipc", "pytest_ipc_conformance", "pytest_ipc-{version}.dist-info", "pytest_ipc-{version}.data"}
# Names that no distribution has: caches, compiled files, editors' files, settings of a machine.
STRAY = ("__pycache__", ".pyc", ".so", ".orig", ".rej", "~", ".swp", ".hypothesis", ".venv", ".tox", "egg-info")


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; exit if it fails."""
    print("+", *command, flush=True)
    if (status := subprocess.run(command, cwd=cwd, check=False).returncode) != 0:
        sys.exit(f"{command[0]} ended with {status}")


def stray(names: list[str]) -> list[str]:
    """Return the names that no distribution should have."""
    return [name for name in names if any(part.endswith(STRAY) for part in name.strip("/").split("/"))]


def names_of(sdist: Path, wheel: Path) -> list[str]:
    """Return what is wrong with the names in both."""
    version = wheel.name.split("-")[1]
    with tarfile.open(sdist) as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    with zipfile.ZipFile(wheel) as archive:
        installed = archive.namelist()
    wrong = [f"stray name: {name}" for name in stray([*inside, *installed])]
    for what, names, expected in (
        ("sdist", inside, SDIST),
        ("wheel", installed, {name.format(version=version) for name in WHEEL}),
    ):
        tops = {name.partition("/")[0] for name in names if name}
        wrong += [f"{what}: unexpected {name}" for name in sorted(tops - expected)]
        wrong += [f"{what}: missing {name}" for name in sorted(expected - tops)]
    return wrong


def main() -> int:
    """Build and check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Copy the distributions to this folder")
    parser.add_argument("--tests", nargs="+", default=QUICK, help="The tests of the sdist to run")
    options = parser.parse_args()
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1577836800")
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        run(sys.executable, "-m", "build", "--outdir", first, PROJECT)
        (sdist,), (wheel,) = first.glob("*.tar.gz"), first.glob("*.whl")
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        if wrong := names_of(sdist, wheel):
            sys.exit("\n".join(wrong))
        source = Path(folder, sdist.name.removesuffix(".tar.gz"))
        shutil.unpack_archive(sdist, folder, filter="data")
        run(sys.executable, "-m", "build", "--outdir", second, source)
        for built in (sdist, wheel):
            if built.read_bytes() != (second / built.name).read_bytes():
                sys.exit(f"{built.name} is not reproducible: built from the sdist it is different")
        python = Path(folder, "venv/bin/python")
        run(sys.executable, "-m", "venv", python.parents[1])
        run(python, "-m", "pip", "install", "-q", "--upgrade", "pip>=25.1")
        run(python, "-m", "pip", "install", "-q", f"{wheel}[conformance]", "--group", "test", cwd=source)
        run(python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *options.tests, cwd=source)
        run(python.with_name("pytest-ipc"), "check", "shmdt.*", cwd=Path(folder))
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            for built in (sdist, wheel):
                shutil.copy(built, options.out)
    print("the distributions are as they should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

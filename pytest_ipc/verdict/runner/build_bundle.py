"""Build the bundle: one file with the suite and its dependencies, for any Python 3.11 or later with nothing installed.

A zip file of pure Python serves every CPU architecture and libc. Packages are copied from this installation if they are
pure Python here, and downloaded from pip's index, as the wheel for every platform, otherwise. The file is reproducible
byte by byte from the same packages.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from .. import suite
from ..command_error import CommandError
from . import bundle_main

__all__ = ["OPENING", "make", "opening"]

# The packages that `pytest-ipc check` needs; their dependencies are read from their metadata.
_ROOTS = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "rich")

# The last release without a compiled part, for packages that have one since.
_LAST_PURE = {"hypothesis": "6.155.7"}

_COMPILED = (".so", ".pyd", ".dylib")

# Executed by every Python, so it uses only syntax of every Python.
OPENING = """\
import sys
if sys.version_info < (3, 11):
    sys.stderr.write("pytest-ipc: Python must be 3.11 or later, not %s\\n" % sys.version.split()[0])
    sys.exit(2)
for _name in ("ctypes", "json", "shutil", "unittest", "xml.etree", "zlib"):
    try:
        __import__(_name)
    except ImportError:
        sys.stderr.write("pytest-ipc: this Python has no module %s: its standard library is incomplete, as with "
                         "Debian's python3-minimal; install python3\\n" % _name)
        sys.exit(2)
"""

_MAIN = OPENING + "from pytest_ipc_unpack import main\nsys.exit(main())\n"

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def opening() -> bytes:
    """Return the bundle that started this process, or else a new one. CommandError."""
    started_from = os.environ.get("PYTEST_IPC_BUNDLE")
    return Path(started_from).read_bytes() if started_from else make()


def make() -> bytes:
    """Build a bundle of this installation. CommandError if neither it nor pip has a package."""
    files = {"__main__.py": _MAIN.encode(), "pytest_ipc_unpack.py": Path(bundle_main.__file__).read_bytes()}
    for name, content in (*_of_this_project(), *_of_others()):
        files[bundle_main.SITE + name] = content
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, which has file modes
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _of_this_project() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parents[2]
    roots = {"pytest_ipc": package, "pytest_ipc_conformance": suite.location()}
    for name, root in roots.items():
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(root)}", path.read_bytes()


def _of_others() -> Iterator[tuple[str, bytes]]:
    """Yield the files of _ROOTS and their dependencies, each package once."""
    wanted, seen, fetched = [*_ROOTS], set[str](), list[str]()
    while wanted or fetched:
        if wanted:
            name = wanted.pop()
            if name in seen:
                continue
            seen.add(name)
            found = _installed(name)
            if found is None:
                fetched.append(name)
                continue
            files, needs = found
        else:  # installed packages first: one call of pip for the others
            files, needs = _fetch(fetched)
            fetched = []
        yield from files.items()
        wanted += needs


def _installed(name: str) -> tuple[dict[str, bytes], list[str]] | None:
    """Return the files and dependencies of an installed package; None if it is missing or not pure Python."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    if "Root-Is-Purelib: true" not in (found.read_text("WHEEL") or ""):
        return None  # compiled, or an egg, or Debian's package, which does not say
    files = {}
    for file in found.files or ():
        path = Path(str(found.locate_file(file)))
        if file.suffix in _COMPILED:
            return None
        if _is_wanted(str(file)):
            if not path.is_file():
                return None
            files[str(file)] = path.read_bytes()
    return files, _needed(found.requires or ())


def _fetch(names: list[str]) -> tuple[dict[str, bytes], list[str]]:
    """Return files and dependencies of the wheels for every platform that pip downloads. CommandError."""
    names = sorted(names)
    wheels = [f"{name}=={_LAST_PURE[name]}" if name in _LAST_PURE else name for name in names]
    if find_spec("pip") is None:
        raise CommandError(
            f"{', '.join(names)}: not installed as pure Python, and this Python has no pip to download it"
        )
    files: dict[str, bytes] = {}
    needs: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pytest-ipc-wheels-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
        done = subprocess.run([*command, f"--dest={folder}", *wheels], capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            last = said[-1].removeprefix("ERROR: ") if said else f"status {done.returncode}"
            raise CommandError(f"{', '.join(names)}: not installed as pure Python, and pip cannot download it: {last}")
        for wheel in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if not name.endswith("/") and _is_wanted(name):
                        files[name] = archive.read(name)
                    if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                        needs += _needed(message_from_bytes(archive.read(name)).get_all("Requires-Dist", []))
    return files, needs


def _is_wanted(name: str) -> bool:
    """Return whether a file belongs in the bundle: no programs, byte code, startup hooks or uninstaller data."""
    path = Path(name)
    if ".." in path.parts or path.is_absolute() or "__pycache__" in path.parts or path.suffix == ".pth":
        return False
    return not (
        path.parent.suffix == ".dist-info" and path.name in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    )


def _needed(requirements: Iterable[str]) -> list[str]:
    """Return the names of the requirements that apply on Linux to the oldest Python, without extras."""
    from packaging.requirements import Requirement  # a dependency of pytest

    environment = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    environment |= {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython"}
    found = map(Requirement, requirements)
    return [need.name.lower() for need in found if need.marker is None or need.marker.evaluate(environment)]

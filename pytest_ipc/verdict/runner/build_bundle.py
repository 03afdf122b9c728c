"""Build the bundle: one file with the suite and its dependencies, for any Python 3.11 or later with nothing installed.

A zip file of pure Python serves every processor and libc. Packages come from this installation where they are pure Python
here, else from the index that pip is set up for, as the wheel that is for every platform. The file is the same, byte by byte,
whenever the same packages go into it.
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
from . import bundle_main

__all__ = ["OPENING", "BundleError", "make", "opening"]

# What `pytest-ipc check` runs on; what these need in turn is found from their own metadata.
_ROOTS = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "rich")

# The last release that is pure Python, of what has a compiled part since.
_LAST_PURE = {"hypothesis": "6.155.7"}

_COMPILED = (".so", ".pyd", ".dylib")

# Run by any Python that there is, and so in words that any Python can read.
OPENING = """\
import sys
if sys.version_info < (3, 11):
    sys.stderr.write("pytest-ipc: needs Python 3.11 or later, and this is %s\\n" % sys.version.split()[0])
    sys.exit(2)
for _name in ("ctypes", "json", "shutil", "unittest", "xml.etree", "zlib"):
    try:
        __import__(_name)
    except ImportError:
        sys.stderr.write("pytest-ipc: this Python has no module %s: half of its standard library is missing, as "
                         "where Debian's python3-minimal is and python3 is not\\n" % _name)
        sys.exit(2)
"""

_MAIN = OPENING + "from pytest_ipc_unpack import main\nsys.exit(main())\n"

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class BundleError(Exception):
    """Why no bundle can be made, in a sentence."""


def opening() -> bytes:
    """The bundle that this process was started from, or else a new one. BundleError."""
    started_from = os.environ.get("PYTEST_IPC_BUNDLE")
    return Path(started_from).read_bytes() if started_from else make()


def make() -> bytes:
    """A bundle of what is installed here. BundleError where something can be had neither here nor by pip."""
    files = {"__main__.py": _MAIN.encode(), "pytest_ipc_unpack.py": Path(bundle_main.__file__).read_bytes()}
    for name, content in (*_of_this_project(), *_of_others()):
        files[bundle_main.SITE + name] = content
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, which has modes
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
    """The packages of _ROOTS with all that they need, each once."""
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
        else:  # all that is here has been looked at: one call of pip for the others
            files, needs = _fetch(fetched)
            fetched = []
        yield from files.items()
        wanted += needs


def _installed(name: str) -> tuple[dict[str, bytes], list[str]] | None:
    """The files of a package of this installation and what it needs. None if it is not here, or is not pure Python."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    if "Root-Is-Purelib: true" not in (found.read_text("WHEEL") or ""):
        return None  # compiled, or an egg, or Debian's, which does not say
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
    """The same from the wheels that pip finds for every platform. BundleError."""
    names = sorted(names)
    wheels = [f"{name}=={_LAST_PURE[name]}" if name in _LAST_PURE else name for name in names]
    if find_spec("pip") is None:
        raise BundleError(f"{', '.join(names)}: not here as pure Python, and this Python has no pip to fetch it with")
    files: dict[str, bytes] = {}
    needs: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pytest-ipc-wheels-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
        done = subprocess.run([*command, f"--dest={folder}", *wheels], capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            last = said[-1].removeprefix("ERROR: ") if said else f"status {done.returncode}"
            raise BundleError(f"{', '.join(names)}: not here as pure Python, and pip cannot fetch it: {last}")
        for wheel in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if not name.endswith("/") and _is_wanted(name):
                        files[name] = archive.read(name)
                    if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                        needs += _needed(message_from_bytes(archive.read(name)).get_all("Requires-Dist", []))
    return files, needs


def _is_wanted(name: str) -> bool:
    """Programs, byte code and what runs at every start are left out, and so is what only an uninstaller reads."""
    path = Path(name)
    if ".." in path.parts or path.is_absolute() or "__pycache__" in path.parts or path.suffix == ".pth":
        return False
    return not (
        path.parent.suffix == ".dist-info" and path.name in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    )


def _needed(requirements: Iterable[str]) -> list[str]:
    """The names of those that hold on Linux for the oldest Python; an extra's do not."""
    from packaging.requirements import Requirement  # pytest itself needs it, so it is here

    environment = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    environment |= {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython"}
    found = map(Requirement, requirements)
    return [need.name.lower() for need in found if need.marker is None or need.marker.evaluate(environment)]

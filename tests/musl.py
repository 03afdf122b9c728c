"""The suite on musl: a CPython is built on Debian's musl from Debian's own sources, and judges this machine with it.

    python -m tests.musl [--tree DIR] [CLAUSES...]

Its exit status is that of `pytest-ipc check --expect musl-1.2`: 1 for a deviation that is not known of musl. The build
takes two to four minutes and is kept in the tree. Needs apt with a Debian mirror, and Debian's packages musl-tools,
linux-libc-dev, dpkg-dev, make, xz-utils and bzip2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .foreign import make_site, mirror_of_apt

PROJECT = Path(__file__).parents[1]
RELEASE, SOURCES = "bookworm", ("python3.11", "libffi", "zlib")
PROGRAMS = ("musl-gcc", "apt-get", "make", "xz", "bzip2")


def main() -> int:
    """Build what is not there yet, and run the suite on it."""
    parser = argparse.ArgumentParser(prog="python -m tests.musl", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tree", type=Path, default=Path("musl"), help="where the build is kept (./musl)")
    parser.add_argument("--mirror", help="a Debian mirror; the first that apt knows, if none is given")
    parser.add_argument("clauses", nargs="*", help="what of the suite to check; everything, if nothing is named")
    options = parser.parse_args()
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        parser.error(f"needs {', '.join(missing)}: Debian's packages musl-tools, apt, make, xz-utils, bzip2")
    tree = options.tree.resolve()
    python = tree / "python/bin/python3"
    if not python.exists():
        build(tree, options.mirror or mirror_of_apt())
    site = make_site(tree / "site")
    command = [str(python), "-m", "pytest_ipc", "check", "--expect", "musl-1.2", "-n", "2", *options.clauses]
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("VIRTUAL_ENV", None)
    return subprocess.run(command, env=environment, check=False).returncode


def build(tree: Path, mirror: str) -> None:
    """Build CPython and the two libraries that ctypes and zlib need."""
    making, prefix = tree / "making", tree / "python"
    shutil.rmtree(making, ignore_errors=True)
    shutil.rmtree(prefix, ignore_errors=True)
    making.mkdir(parents=True)
    get_sources(making, mirror)
    compiler = make_compiler(making)
    static = ["--disable-shared", "--enable-static", "--with-pic", "--disable-docs", "--disable-multi-os-directory"]
    environment = os.environ | {"CC": str(compiler), "CFLAGS": f"-O1 -fPIC -idirafter {making / 'include'}"}
    configure_and_make(making / "libffi", environment, [f"--prefix={prefix}", *static], "install")
    configure_and_make(making / "zlib", environment, [f"--prefix={prefix}", "--static"], "libz.a")
    shutil.copy(making / "zlib/libz.a", prefix / "lib")
    for header in ("zlib.h", "zconf.h"):
        shutil.copy(making / "zlib" / header, prefix / "include")
    environment |= {
        "CPPFLAGS": f"-I{prefix}/include",
        "LDFLAGS": f"-L{prefix}/lib",
        "PKG_CONFIG_LIBDIR": f"{prefix}/lib/pkgconfig",
    }
    there = ["ac_cv_file__dev_ptmx=yes", "ac_cv_file__dev_ptc=no"]
    configure_and_make(
        making / "python3.11",
        environment,
        [f"--prefix={prefix}", "--without-ensurepip", "--disable-test-modules", *there],
        "install",
    )
    needed = "import ctypes, fcntl, mmap, multiprocessing.shared_memory, resource, select, socket, zlib"
    subprocess.run([prefix / "bin/python3", "-c", needed], check=True)
    shutil.rmtree(making)


def get_sources(making: Path, mirror: str) -> None:
    """Fetch and unpack the sources, with an apt configuration of their own."""
    (making / "apt/lists/partial").mkdir(parents=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (making / "sources.list").write_text(f"deb-src [signed-by={key}] {mirror} {RELEASE} main\n")
    options = {
        "Dir::Etc::sourcelist": making / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": making / "apt/lists",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", "--download-only", *SOURCES], cwd=making, check=True)
    for name in SOURCES:
        (making / name).mkdir()
        (archive,) = making.glob(f"{name}_*.orig.tar.*z*")
        subprocess.run(["tar", "-C", making / name, "--strip-components=1", "-xf", archive], check=True)


def make_compiler(making: Path) -> Path:
    """Write musl's compiler as the builds want it: it says which platform it is for, and finds the kernel's headers."""
    machine = os.uname().machine
    compiler = making / "cc"
    compiler.write_text(
        f'#!/bin/sh\ncase $1 in *-print-multiarch) echo {machine}-linux-musl; exit;; esac\nexec musl-gcc "$@" -w\n'
    )
    compiler.chmod(0o755)
    include = making / "include"
    include.mkdir()
    (include / "linux").symlink_to("/usr/include/linux")
    (include / "asm-generic").symlink_to("/usr/include/asm-generic")
    (include / "asm").symlink_to(f"/usr/include/{machine}-linux-gnu/asm")
    return compiler


def configure_and_make(folder: Path, environment: dict[str, str], options: list[str], target: str) -> None:
    """Build one source; keep its output in a file, and show it on failure."""
    print(folder.name, flush=True)
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        for command in (["./configure", *options], ["make", "-j2", target]):
            done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
            if done.returncode and not (command[0] == "make" and folder.name.startswith("python")):
                sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())

"""The description of a platform: kernel, libc and container, as far as they can be queried.

Every entry is read, none is guessed from a name; unreadable ones are omitted.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from mmap import PAGESIZE
from pathlib import Path

from ...kernel import proc
from ...kernel.abi import machine
from ...kernel.capability import CAPABILITIES
from . import means

__all__ = ["describe", "short_name"]

_LIMITS = (
    ("kernel/shmmax", "bytes"),
    ("kernel/shmall", "pages"),
    ("kernel/shmmni", "segments"),
    ("fs/pipe-max-size", "bytes"),
    ("fs/pipe-user-pages-soft", "pages"),
    ("fs/pipe-user-pages-hard", "pages"),
)


def describe() -> dict[str, str]:
    """Return the description of this platform as names and texts, the most important first."""
    uname = os.uname()
    entries = {
        "kernel": f"{uname.sysname} {uname.release} {uname.version}",
        "libc": _libc(),
        "architecture": f"{machine()}, {PAGESIZE} byte pages, {sys.byteorder}-endian",
        "container": _container(),
        "user": f"uid {os.getuid()}, gid {os.getgid()}",
        "capabilities": _capabilities(),
        "namespaces": _namespaces(),
        "lacking": means.describe(),
        "limits": _limits(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return {name: text for name, text in entries.items() if text}


def short_name(platform: dict[str, str]) -> str:
    """Return the default name of *platform*, a result of describe(): "Linux 6.12.9 x86_64, docker"."""
    kernel = " ".join(platform.get("kernel", "").split()[:2])
    machine = platform.get("architecture", "").partition(",")[0]
    # gVisor reports an old Linux version; the number of seccomp filters does not identify a platform.
    container = re.sub(r" \(.*?\)", "", platform.get("container", ""))
    return ", ".join(filter(None, (f"{kernel} {machine}".strip(), container))) or "a platform without a name"


def _libc() -> str:
    try:
        if version := os.confstr("CS_GNU_LIBC_VERSION"):
            return version
    except (OSError, ValueError):  # not glibc
        pass
    loaders = sorted(path.name for path in Path("/lib").glob("ld-musl-*"))
    return f"musl ({loaders[0]})" if loaders else ""


def _container() -> str:
    """Return the container or sandbox, if it is recognized; gVisor, which does not hide itself, first."""
    status = proc.process_status()
    version = _text("/proc/version")
    signs = []
    # gVisor reports this text in uname(2) and /proc/version on every host.
    if "4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016" in version or "gVisor" in version:
        signs.append("gVisor")
    if "User Mode Linux" in _text("/proc/cpuinfo"):
        signs.append("user-mode Linux")
    if "microsoft" in version.lower():
        signs.append("WSL")
    if Path("/.dockerenv").exists():
        signs.append("docker")
    if Path("/run/.containerenv").exists():
        signs.append("podman")
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        signs.append("kubernetes")
    if named := os.environ.get("container"):  # noqa: SIM112 - systemd's convention is lower case
        signs.append(named)
    if status.get("Seccomp") == "2":
        signs.append(f"a seccomp filter ({status.get('Seccomp_filters', 'some')} in force)")
    identity = _text("/proc/self/uid_map").split()
    if identity and identity != ["0", "0", "4294967295"]:
        signs.append("a user namespace of its own")
    return ", ".join(signs)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _capabilities() -> str:
    held = proc.capabilities()
    if held is None:
        return ""
    names = [name for bit, name in enumerate(CAPABILITIES) if held >> bit & 1]
    missing = [name for bit, name in enumerate(CAPABILITIES) if not held >> bit & 1]
    if not names:
        return "none"
    if len(missing) < len(names):
        return "all" + (f" but {', '.join(missing)}" if missing else "")
    return ", ".join(names)


def _namespaces() -> str:
    found = []
    for kind in ("ipc", "pid", "user", "mnt", "net"):
        try:
            found.append(os.readlink(f"/proc/self/ns/{kind}"))
        except OSError:
            continue
    return " ".join(found)


def _limits() -> str:
    entries = [f"{name} {value} {unit}" for name, unit in _LIMITS if (value := proc.limit(name)) is not None]
    for name, which, unit in (
        ("RLIMIT_NOFILE", resource.RLIMIT_NOFILE, "descriptors"),
        ("RLIMIT_MEMLOCK", resource.RLIMIT_MEMLOCK, "bytes"),
        ("RLIMIT_SIGPENDING", resource.RLIMIT_SIGPENDING, "signals"),
    ):
        soft = resource.getrlimit(which)[0]
        entries.append(f"{name} {'unlimited' if soft == resource.RLIM_INFINITY else f'{soft} {unit}'}")
    try:
        shm = os.statvfs("/dev/shm")
        entries.append(f"/dev/shm {shm.f_blocks * shm.f_frsize} bytes")
    except OSError:
        entries.append("no /dev/shm")
    return ", ".join(entries)

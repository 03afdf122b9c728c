"""The start of a bundle: unpack it into a private directory, run the command there, remove the directory.

pytest collects no tests from a zip file, and xdist's workers are processes that must find the packages too. So the
command runs as a child of this process, which forwards signals, waits, and removes the directory however the child
ends. This module is in the bundle separately, runs before anything is unpacked, and therefore uses the stdlib only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import IO

# Signals that are forwarded to the child. After SIGKILL the directory remains, like any temporary file.
_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}

# The reaper of a killed run may still read its modules: its patience and a little more.
_SECONDS_TO_LET_GO = 10

# Seconds for a check that must end to write its report and remove its directory.
_SECONDS_TO_END = 20

# The directory of the packages within the file; the files beside it belong to the bundle itself.
SITE = "site/"


def main() -> int:
    """Run the command pytest-ipc with nothing installed: python3 pytest-ipc.pyz ARGUMENT..."""
    archive = os.path.abspath(sys.argv[0])
    with open(archive, "rb") as file:
        return run(file, ["-m", "pytest_ipc", *sys.argv[1:]], {"PYTEST_IPC_BUNDLE": archive})


def run(archive: IO[bytes], arguments: list[str], more: Mapping[str, str], *, apart: bool = False) -> int:
    """Run this Python with *arguments*, the packages of *archive*, and *more* in its environment.

    Returns the exit status in the form of a shell: 128 and the signal number after a signal. *apart* gives it a state
    directory of its own: other platforms may share this file system and have other processes with the same pids.
    """
    program = python()
    if not (program and os.access(program, os.X_OK)):
        return _refuse("this Python does not know its own executable, which the suite has to start again")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    folder = ""
    try:
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # otherwise the kernel keeps no status of the child
        folder = tempfile.mkdtemp(prefix="pytest-ipc-bundle-")
        _unpack(archive, Path(folder))
        environment = {**os.environ, **more, "PYTHONPATH": folder, "PYTHONNOUSERSITE": "1"}
        if apart:
            environment["XDG_RUNTIME_DIR"] = f"{folder}/run"
            os.mkdir(environment["XDG_RUNTIME_DIR"], 0o700)
            os.chmod(environment["XDG_RUNTIME_DIR"], 0o700)  # whatever the umask
        # -P: do not import from the working directory.
        child = os.posix_spawn(program, [program, "-P", *arguments], environment, setsigmask=sorted(before))
        return _guard(child)
    except OSError as error:
        return _refuse(f"cannot be unpacked: {error}")
    finally:
        if folder:
            _wait_until_unused(folder)
            shutil.rmtree(folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def python() -> str:
    """Return the executable of this Python; the interpreter does not know it if started by a bare name without PATH."""
    if sys.executable:
        return sys.executable
    try:
        return os.readlink("/proc/self/exe")
    except OSError:
        return ""


def _refuse(text: str) -> int:
    print(f"pytest-ipc: {text}", file=sys.stderr)
    return 2


def _unpack(archive: IO[bytes], folder: Path) -> None:
    """Unpack *archive*: writable only for this user, readable for all, because clauses run as other users."""
    umask = os.umask(0o022)
    try:
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if name.startswith(SITE):
                    target = folder / name.removeprefix(SITE)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read(name))
        folder.chmod(0o711)
    finally:
        os.umask(umask)


def _guard(child: int) -> int:
    """Wait for *child* and forward signals to it; kill it if it does not end after SIGTERM."""
    deadline = None
    while True:
        left = None if deadline is None else max(0, deadline - monotonic())
        received = _next_signal(left)
        if received is None:
            os.kill(child, signal.SIGKILL)
            deadline = None
        elif received.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
        elif received.si_code <= 0:
            # Sent by a process, as with kill(1). Signals of the terminal, with a code of the kernel, reach the child
            # directly.
            os.kill(child, received.si_signo)
            if received.si_signo == signal.SIGTERM and deadline is None:
                deadline = monotonic() + _SECONDS_TO_END


def _next_signal(seconds: float | None) -> signal.struct_siginfo | None:
    wanted = _PASSED_ON | {signal.SIGCHLD}
    return signal.sigwaitinfo(wanted) if seconds is None else signal.sigtimedwait(wanted, seconds)


def _wait_until_unused(folder: str) -> None:
    """Wait for the reaper of a killed run: it has *folder* in its command line until it has ended."""
    deadline = monotonic() + _SECONDS_TO_LET_GO
    while monotonic() < deadline and _is_used(folder.encode()):
        signal.sigtimedwait((), 0.02)


def _is_used(folder: bytes) -> bool:
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            try:
                if folder in Path("/proc", name, "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False

"""The start of a bundle: unpack it into a private directory, run the command there, remove the directory.

pytest collects no tests from within a zip file, and xdist's workers are processes that have to find the packages too. So the
command runs as a child, of which this process is the guardian: it passes signals on, waits, and clears up however the child
ended. This module lies in the bundle by itself, runs before anything is unpacked, and so uses the stdlib alone.
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

# What can be passed on to the child. SIGKILL cannot be: then the folder stays, as temporary files do.
_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}

# The reaper of a run that died may still read its modules, for as long as it has patience and a little more.
_SECONDS_TO_LET_GO = 10

# A check that is told to end has a report to write and a folder to remove.
_SECONDS_TO_END = 20

# Where the packages lie within the file; what is beside it belongs to the bundle itself.
SITE = "site/"


def main() -> int:
    """python3 pytest-ipc.pyz ARGUMENT...: the command pytest-ipc, with nothing installed."""
    archive = os.path.abspath(sys.argv[0])
    with open(archive, "rb") as file:
        return run(file, ["-m", "pytest_ipc", *sys.argv[1:]], {"PYTEST_IPC_BUNDLE": archive})


def run(archive: IO[bytes], arguments: list[str], more: Mapping[str, str], *, apart: bool = False) -> int:
    """Run this Python with *arguments* where the packages of *archive* are found, and *more* in its environment.

    The exit status, as a shell has it: 128 and the signal for one that a signal ended. *apart* keeps its ledgers from those of
    its neighbours, who may share this file system and yet have other processes of the same numbers.
    """
    program = python()
    if not (program and os.access(program, os.X_OK)):
        return _refuse("this Python does not know where its program lies, and the suite has to start it again")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    folder = ""
    try:
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the kernel keeps no status of the child
        folder = tempfile.mkdtemp(prefix="pytest-ipc-bundle-")
        _unpack(archive, Path(folder))
        environment = {**os.environ, **more, "PYTHONPATH": folder, "PYTHONNOUSERSITE": "1"}
        if apart:
            environment["XDG_RUNTIME_DIR"] = f"{folder}/run"
            os.mkdir(environment["XDG_RUNTIME_DIR"], 0o700)
            os.chmod(environment["XDG_RUNTIME_DIR"], 0o700)  # whatever the umask has made of it
        # -P: what lies in the folder that one stands in is no part of it.
        child = os.posix_spawn(program, [program, "-P", *arguments], environment, setsigmask=sorted(before))
        return _guard(child)
    except OSError as error:
        return _refuse(f"cannot unpack itself: {error}")
    finally:
        if folder:
            _wait_until_unused(folder)
            shutil.rmtree(folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def python() -> str:
    """The program of this Python: the interpreter does not know it where it was started by a bare name and without PATH."""
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
    """Nobody else may write there. Everybody may read what they can name: clauses about other users run as them, from here."""
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
    """Wait for *child*; what this process is told meanwhile, the child is told. One that does not end on SIGTERM is killed."""
    deadline = None
    while True:
        left = None if deadline is None else max(0, deadline - monotonic())
        told = _next_signal(left)
        if told is None:
            os.kill(child, signal.SIGKILL)
            deadline = None
        elif told.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
        elif told.si_code <= 0:
            # From a process, as kill(1). What the terminal sends, with a code of the kernel's, the child has got itself.
            os.kill(child, told.si_signo)
            if told.si_signo == signal.SIGTERM and deadline is None:
                deadline = monotonic() + _SECONDS_TO_END


def _next_signal(seconds: float | None) -> signal.struct_siginfo | None:
    wanted = _PASSED_ON | {signal.SIGCHLD}
    return signal.sigwaitinfo(wanted) if seconds is None else signal.sigtimedwait(wanted, seconds)


def _wait_until_unused(folder: str) -> None:
    """The reaper of a run that was killed names the folder in its command line until it has done its work."""
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

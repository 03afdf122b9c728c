"""Start the reaper and wait until it watches, as an object created earlier could outlive this process.

Until it is ready, the reaper's standard error is a pipe to this process, which shows why it cannot start: a limit that
the test has set, a Python that does not start, an import error. Without a reaper no object is created.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from errno import EAGAIN, ENOENT, ETIMEDOUT

from .. import custody
from ..kernel.bare_fork import fork
from ..kernel.memfile import put_high
from ..kernel.waiting import Deadline
from ..unpatched import os, select, signal
from .format import LEDGER, READY
from .identity import Process
from .state_paths import owner as user_of_places
from .state_paths import places

__all__ = ["LEDGER", "READY", "start"]

PATIENCE = 30.0  # seconds for it to become ready; Python starts slowly under an emulator

# Environment variables to pass on: only those that the sweep needs to find libc.
_PASSED_ON = {"PATH", "LD_LIBRARY_PATH"}

# Limits that a test may lower but the reaper needs, and the value it needs; None for no limit.
_LIMITS = {"AS": None, "CPU": None, "DATA": None, "FSIZE": None, "NOFILE": 4096, "NPROC": None, "STACK": 8 << 20}


def start(owner: Process, ledger: int | None) -> None:
    """Start the reaper of *owner*, this process, and wait until it watches. Raises OSError if it cannot start.

    The reaper holds the file of the descriptor *ledger* open, unless that is None.
    """
    if not (sys.executable and os.access(sys.executable, os.X_OK)):
        reason = "there is no Python interpreter to run the reaper, so no object is created"
        raise OSError(ENOENT, reason, sys.executable or None)
    reader = writer = -1
    child = 0
    try:
        reader, writer = map(put_high, os.pipe())
        child = _fork()
        if child == 0:
            _become(owner, writer, ledger)
        os.close(writer)
        writer = -1
        ready, output = _listen(reader)
    except BaseException as error:
        # A signal handler may raise anywhere here: do not leave an unknown reaper behind.
        _kill(child)
        if isinstance(error, OSError) and child == 0:
            raise _failure(error.errno or EAGAIN, f"no process can be forked for it: {error.strerror}") from None
        raise
    finally:
        for fd in (reader, writer):
            if fd >= 0:
                os.close(fd)
    if not ready and output is None:
        _kill(child)
        raise _failure(ETIMEDOUT, f"it was not ready within {PATIENCE:g} seconds")
    status = _status(child)
    if not ready:
        raise _failure(EAGAIN, " ".join(filter(None, (_ending(status), _last_line(output or b"")))))


def _fork() -> int:
    try:
        return fork()
    except BlockingIOError:
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        if soft == hard:
            raise
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))  # the limit is meant for the test's own processes
        try:
            return fork()
        finally:
            resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def _become(owner: Process, writer: int, ledger: int | None) -> None:
    """Execute the reaper's program in the forked child. Does not return."""
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _lift_limits()
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(writer, 2)
        os.dup2(0 if ledger is None else ledger, LEDGER)
        os.set_inheritable(LEDGER, True)  # dup2() of LEDGER to itself keeps FD_CLOEXEC
        _close_all_above(LEDGER)
        _be_owner()
        os.chdir("/")
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        # Append it, so that no module in site-packages shadows one of the stdlib.
        source = f"import sys; sys.path.append({package!r}); from pytest_ipc.custody.reaper import main; main()"
        arguments = [str(owner.pid), str(owner.start), str(custody.controller), *places()]
        environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", source, *arguments], environment)
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into the caller's frames
        with suppress(BaseException):
            os.write(2, repr(error).encode())
    finally:
        os._exit(1)


def _be_owner() -> None:
    """Become the user who owns the ledgers, if the test has changed only the effective user."""
    if (user := user_of_places()) != os.geteuid() and user in os.getresuid():
        os.setresuid(user, user, user)


def _lift_limits() -> None:
    """Raise the limits as far as permitted, as those of the test may be too low for Python."""
    for name, needed in _LIMITS.items():
        which = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(which)
        if soft == resource.RLIM_INFINITY or (needed is not None and soft >= needed):
            continue
        if hard != resource.RLIM_INFINITY and (needed is None or hard < needed):
            with suppress(OSError, ValueError):  # without CAP_SYS_RESOURCE
                resource.setrlimit(which, (resource.RLIM_INFINITY if needed is None else needed,) * 2)
                continue
            needed = hard
        with suppress(OSError, ValueError):  # the present limit has to do; a start that fails is reported
            resource.setrlimit(which, (hard if needed is None else needed, hard))


def _close_all_above(last: int) -> None:
    """Close every descriptor above *last*, also above a lowered RLIMIT_NOFILE."""
    try:
        held = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # without /proc
        os.closerange(last + 1, max(os.sysconf("SC_OPEN_MAX"), 1 << 16))
        return
    for fd in held:
        if fd > last:
            with suppress(OSError):  # the descriptor of the listing
                os.close(fd)


def _listen(reader: int) -> tuple[bool, bytes | None]:
    """Return whether the reaper is ready and its output; output None if it neither became ready nor ended."""
    deadline, output = Deadline(PATIENCE), b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while not deadline.passed:
        if poll.poll(min(deadline.left, 1.0) * 1000 + 1):
            part = os.read(reader, 4096)  # little, as memory may be short here
            output += part
            if READY in output or not part:
                return READY in output, output
    return False, None


def _kill(child: int) -> None:
    """Kill and reap *child* and its process group, which it leads once it has its own session."""
    if child > 0:
        for kill in (os.killpg, os.kill):
            with suppress(OSError):  # it has ended, or has no group of its own yet
                kill(child, signal.SIGKILL)
        _status(child)


def _status(child: int) -> int | None:
    """Reap *child*; return its exit status, None if SIGCHLD is ignored or a handler has reaped it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:
        return None


def _ending(status: int | None) -> str:
    if not status:
        return "it ended"
    return f"it was killed by signal {-status}" if status < 0 else f"it exited with status {status}"


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return f"and wrote {lines[-1][:300]!r}" if lines else ""


def _failure(errno: int, reason: str) -> OSError:
    limits = [
        f"RLIMIT_{name} is {soft}"
        for name, enough in (("AS", 1 << 30), ("DATA", 1 << 30), ("NOFILE", 64), ("NPROC", 4096))
        if (soft := resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]) != resource.RLIM_INFINITY
        and soft < enough
    ]
    hint = f" ({', '.join(limits)})" if limits else ""
    return OSError(errno, f"the reaper cannot start, so no object is created: {reason}{hint}")

"""Start a program in a child that shares the memory of this process until execve(2) (vfork(2)).

fork(2) copies the page tables of the test runner, and the child then copies each page that its interpreter touches:
that takes ten times as long as a short program runs. subprocess.Popen uses vfork(2), with a child in C.

None of our code runs in such a child. So the tag and the mark by which descendants are found (descendants.py) are
those of this process during the call. Another thread that started a process meanwhile would give them to it, so this is
done only in a process with no other threads than the test runner's. And the child has no PR_SET_PDEATHSIG: if this
process is killed, the reaper ends the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from ..custody.cleanup import finish
from ..custody.descendants import marked
from ..custody.identity import RLIMIT_LOCKS, set_tag
from ..unpatched import os, signal
from .arguments import execution_error
from .inheritance import has_threads_of_tests
from .started import kill_with_descendants

__all__ = ["can_share_memory", "start_program"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_STATUS = re.compile(rb"^Threads:\t(\d+)$.*?^SigBlk:\t(\w+)$.*?^SigIgn:\t(\w+)$", re.MULTILINE | re.DOTALL)
# What subprocess resets, and what it cannot: signals by which glibc's threads are cancelled, which nobody can set.
_RESET = sum(1 << signo - 1 for signo in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33))


def can_share_memory(streams: Sequence[int], pass_fds: Sequence[int], *, default_signals: bool) -> bool:
    """Return whether start_program() can be used.

    This process must have no threads of tests, and, with *default_signals*, block and ignore no signal but those that
    subprocess resets; the standard streams are replaced after all descriptors to be passed are in place.
    """
    if min(*streams, *pass_fds) <= 2:
        return False
    try:
        fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _STATUS.search(os.read(fd, 16384))
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return False  # without /proc
    if found is None or (found[1] != b"1" and has_threads_of_tests()):
        return False
    return not default_signals or (int(found[2], 16) == 0 and int(found[3], 16) & ~_RESET == 0)


def start_program(
    tag: int,
    words: tuple[str, ...],
    env: Mapping[str, str],
    cwd: str | None,
    streams: Sequence[int],
    pass_fds: Sequence[int],
    default_signals: bool,
) -> int:
    """Start the program words[0], found in PATH, with *tag*, as the leader of a group; return its process id.

    OSError with the errno of execve(2) or chdir(2); an interrupted call may have started it.
    """
    from ..unpatched import subprocess

    stdin, stdout, stderr = streams
    process: subprocess.Popen[bytes] | None = None
    try:
        with _tagged(tag), marked():
            process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
                restore_signals=default_signals,
                process_group=0,
            )
    except (OSError, ValueError) as error:
        if process is not None:  # tag or mark could not be restored
            kill_with_descendants(process.pid, tag)
        if not isinstance(error, OSError) or error.errno is None or error.filename is None:
            raise
        call = "chdir to cwd" if cwd is not None and error.filename == cwd else "execve"
        raise execution_error(call, error.errno, words, env, cwd) from None
    process.returncode = 0  # it is waited for elsewhere
    return process.pid


@contextmanager
def _tagged(tag: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(RLIMIT_LOCKS)
    try:
        set_tag(tag)
        yield
    finally:
        finish(partial(resource.setrlimit, RLIMIT_LOCKS, before))

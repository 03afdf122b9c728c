"""Rows of processes: forked children and programs, from their start until they are reaped."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from pytest_ipc import Ipc, scope

from .clock import Way, repeated
from .floor import floor
from .row import Goal, NotMeasuredError, Row

__all__ = ["ROWS", "allowing", "fork", "fork_of_peer", "forks", "holding"]

DESCRIPTORS = 900
_PROGRAM = "/bin/true"


def fork(ipc: Ipc) -> None:
    """Start a child, get its result, end it."""
    with ipc.fork(int) as child:
        child.result()


def fork_of_peer() -> None:
    """Start a child and wait for it; there is no result but its status."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def spawn(ipc: Ipc) -> None:
    """Run a program and get its exit status."""
    with ipc.spawn([_PROGRAM]) as program:
        program.wait()


def spawn_of_peer() -> None:
    """The same, with no output to keep."""
    subprocess.run([_PROGRAM], check=True)


@contextmanager
def holding(number: int) -> Iterator[None]:
    """Have *number* more open descriptors, all at even or all at odd numbers, as after files opened and closed."""
    with allowing(2 * number), ExitStack() as kept:
        with ExitStack() as gaps:
            for _ in range(number):
                for stack in (gaps, kept):
                    stack.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        yield


@contextmanager
def allowing(number: int) -> Iterator[None]:
    """Be allowed to open *number* more descriptors. NotMeasuredError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + 200
    if needed > hard:
        raise NotMeasuredError(f"needs {needed} descriptors; the hard limit RLIMIT_NOFILE is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def forks(descriptors: int = 0) -> Iterator[Mapping[str, Way]]:
    """Fork in a process with that many descriptors."""
    with holding(descriptors), scope() as ipc:
        yield {"ours": repeated(lambda: fork(ipc)), "peer": repeated(fork_of_peer), **floor("fork")}


@contextmanager
def spawns() -> Iterator[Mapping[str, Way]]:
    """Start programs."""
    with scope() as ipc:
        yield {"ours": repeated(lambda: spawn(ipc)), "peer": repeated(spawn_of_peer), **floor("spawn")}


ROWS = (
    Row("fork", "fork: start, result, end", "os.fork, os.waitpid", Goal("ratio", 1.4), forks),
    Row(
        "fork-900",
        f"fork, with {DESCRIPTORS} open descriptors",
        "os.fork, os.waitpid",
        Goal("ratio", 1.5),
        lambda: forks(DESCRIPTORS),
    ),
    Row("spawn", f"program {_PROGRAM}: start to exit status", "subprocess.run", Goal("ratio", 1.2), spawns),
)

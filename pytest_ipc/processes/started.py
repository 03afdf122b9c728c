"""The processes that a test has started: on record, leaders of their process group, and ended with their descendants.

What a process is started with differs (child.py, execution.py); how it is observed, signalled and ended does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from errno import ENOSYS, ESRCH
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

from ..custody.cleanup import finish
from ..custody.identity import Process, new_tag
from ..custody.ledger import Record, intent
from ..custody.record import made_by
from ..custody.sweep import settle
from ..kernel import proc, trace
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, close_all, timed_out
from ..unpatched import os, signal
from . import history, tree
from .leader import Leader
from .output import Output
from .sleep_watch import SleepWatch, check_states, state_letter

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["ChildDied", "Start", "StartedProcess", "kill_with_descendants", "siblings", "start_process"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Signals that the kernel sends for a fault in the program. Others may have been sent by the test, with os.kill().
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP}


# The processes that this process has started, whose descriptors a forked child does not need.
siblings: WeakSet[StartedProcess] = WeakSet()


class ChildDied(Exception):
    """A child ended without a result: by a signal, by an exit call, or because it executed another program.

    `status` is its exit status, or -N for signal N as in subprocess; None if another caller of wait(2) reaped it, or
    the kernel because SIGCHLD is ignored (wait(2), NOTES).
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class Start(NamedTuple):
    """A process that has just been started: its id, or 0 in a forked child itself, its record and its tag."""

    pid: int
    record: Record
    tag: int

    def leader(self, files: Sequence[int]) -> Leader:
        """Return the leader. If there are no descriptors for it, end the process and close *files*: OSError.

        If it cannot be ended either, it stays on record.
        """
        try:
            return Leader(self.pid)
        except OSError:
            finish(self._end, partial(tree.let_go, self.tag), partial(close_all, list(files)))
            raise

    def _end(self) -> None:
        kill_with_descendants(self.pid, self.tag)
        self.record.closed()


def kill_with_descendants(pid: int, tag: int) -> None:
    """Kill and reap a process that has just been started with *tag*, and its descendants. OSError."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    tree.end(tag, Process(pid, 0))


def start_process(start: Callable[[int], int], files: Sequence[int]) -> Start:
    """Put a process on record and have *start*, which is given its tag, start it and return its id. Raises OSError.

    *files* are its memory files; a forked child returns from here, too.
    """
    tag = new_tag()
    with ExitStack() as undo, intent("process", tag=tag, session=os.getsid(0)) as record:
        with trace.paused():
            tree.adopt(tag)
        undo.callback(tree.let_go, tag)
        # The parent needs two for a look at the process: without them there must be none.
        spare = [os.dup(files[0])]
        undo.callback(close_all, spare)
        spare.append(os.dup(files[0]))
        pid = start(tag)
        undo.pop_all()
        close_all(spare)
    return Start(pid, record, tag)


class StartedProcess(Resource):
    """A process that a test has started; ended, with its process group and descendants, with its block or scope.

    `pid` is its process id, `pidfd` a descriptor for it (None where the kernel lacks pidfd_open(2)), `source` what
    the last wait_blocked() read: "syscall", or "state" where the kernel does not show the call.

    A test fails at its end if the process has crashed and the test has not waited for it, unless `may_fail` is true.
    """

    _stays = "only its parent can wait for it; pass its pid, for pytest_ipc.observe(pid)"

    def __init__(
        self,
        start: Start,
        name: str,
        files: Sequence[int],
        outputs: Sequence[Output],
        may_fail: bool,
        scope: Scope | None,
    ) -> None:
        self._leader = start.leader(files)
        self.pid: int = start.pid
        self._record = start.record
        self._tag = start.tag
        self._process = self._leader.process
        self.pidfd: int | None = self._leader.pidfd
        self.name = name
        self.source: str | None = None
        self._outputs = outputs
        self._fds = [*files, *([] if self.pidfd is None else [self.pidfd])]
        self._below: set[tuple[int, int]] = set()  # the descendants that the child had before it was killed
        self._test = made_by.test
        self.may_fail: bool = may_fail
        self._asked = False  # the test knows how it ended
        self._sent = set[int]()  # signals that the test has sent
        super().__init__(scope)
        siblings.add(self)
        trace.mark("(fork)", self.pid)
        tree.started(self._tag, self._process)
        history.started(self.pid, self.name)
        self._record.made(pid=self.pid, start=self._process.start)

    @property
    def alive(self) -> bool:
        """Whether it still runs, or is stopped. A zombie has ended."""
        return not self._has_ended()

    def _has_ended(self) -> bool:
        """Return whether it has ended, and keep its output within its bounds."""
        self._trim()
        return self._leader.reap()

    @property
    def status(self) -> int | None:
        """The exit status, or -N for signal N; None before its end, or if another wait(2) took it."""
        return self._leader.status

    def wait(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for the end and return the exit status, or -N for signal N.

        Return None if another caller of wait(2) reaped it, or SIGCHLD is ignored. Raises TimeoutError after *timeout*
        seconds, with what it was doing.
        """
        __tracebackhide__ = True
        self._usable()
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(self._has_ended, self.pidfd, notified=True):
            raise timed_out(seconds, f"{self!r} to end", self._now)
        self._asked = True
        self._pass_output_on()
        return self.status

    async def wait_async(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for the end as wait() does, in a coroutine of asyncio, trio or anyio, without blocking the event loop.

        Raises TimeoutError; OSError (ENOSYS) where the kernel lacks pidfd_open(2).
        """
        __tracebackhide__ = True
        self._usable()
        seconds = check_timeout(timeout)
        if not self._leader.reap():
            if self.pidfd is None:
                raise OSError(ENOSYS, "a coroutine waits for a process by a pidfd, and pidfd_open(2) is not available")
            from .awaiting import readable

            if not await readable(self.pidfd, seconds):
                raise timed_out(seconds, f"{self!r} to end", self._now)
        return self.wait(timeout=timeout)

    def wait_blocked(self, call: str | None = None, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the kernel shows the process asleep, in system call *call* if given (`"openat"`, `"read"`).

        The calls that libc may make instead count too: `"open"` is openat, `"semop"` is semtimedop. Where
        /proc/PID/syscall is not readable, the state alone decides; `source` shows which was used. Raises
        TimeoutError after *timeout* seconds, with what it did instead; the exception of a child's function, or
        ChildDied, if it ended; ValueError for an unknown call.
        """
        __tracebackhide__ = True
        self._usable()
        watch = SleepWatch(self.pid, call, repr(self))

        def blocked() -> bool:
            if self._has_ended() or not self._has_begun():
                return self._leader.reaped
            asleep = watch.asleep()
            self.source = watch.source
            return asleep

        seconds = check_timeout(timeout)
        asleep = Deadline(seconds).until(blocked, self.pidfd)
        trace.mark("(asleep)", self.pid, {"bytes": call or ""}, result=int(asleep and not self._leader.reaped))
        what = f"to sleep in {call}" if call else "to sleep"
        if self._leader.reaped:
            self._raise_death(what)
        if not asleep:
            raise timed_out(seconds, f"{self!r} {what}", self._now)

    def wait_state(self, states: str, *, timeout: Timeout = DEFAULT) -> str:
        """Wait until the state letter is in *states* ("T" for stopped; proc_pid_stat(5)); return the letter.

        Raises TimeoutError after *timeout* seconds, with what it was doing; the exception of a child's function, or
        ChildDied, if it ended and neither "Z" nor "X" is in *states*.
        """
        __tracebackhide__ = True
        self._usable()
        found, ends = "", not {"Z", "X"}.isdisjoint(check_states(states))

        def reached() -> bool:
            nonlocal found
            self._trim()
            found = "X" if self._leader.reaped else state_letter(self.pid, repr(self))
            return found in states or (found in "ZX" and not ends and self._leader.reap())

        seconds = check_timeout(timeout)
        came = Deadline(seconds).until(reached)
        if found not in states and self._leader.reaped:
            self._raise_death(f"to be in state {states}")
        if not came:
            raise timed_out(seconds, f"{self!r} to be in state {states}", self._now)
        return found

    def signal(self, signo: int) -> None:
        """Send a signal: pidfd_send_signal(2), or kill(2) where the kernel lacks it.

        Raises ProcessLookupError if the process has ended; OSError.
        """
        self._usable()
        if self._leader.reap():
            raise ProcessLookupError(ESRCH, f"{self!r} has ended")
        self._sent.add(signo)
        if signo == signal.SIGKILL:
            history.about_to_kill(self.pid)
        self._leader.signal(signo)

    def all_descriptors(self) -> list[int]:
        """Return the descriptors of its files and its pidfd."""
        return list(self._fds)

    def unneeded_by_children(self) -> list[int]:
        """Return the descriptors that a forked child does not need."""
        return list(self._fds)

    def failure(self) -> BaseException | None:
        """Return how it failed, if it has ended and nobody has asked for it: here, that it crashed."""
        return self.crash()

    def crash(self) -> ChildDied | None:
        """Return that it crashed, if it has ended and nobody has asked for it."""
        if not self._readable() or self._asked or self.may_fail or not self._leader.reap():
            return None
        if self.status is not None and -self.status in _CRASHES - self._sent:
            return ChildDied(
                f"{self._named()} {self._ending()}, and nobody has waited for it{self._said()}", self.status
            )
        return None

    def report_failure(self, scope: Scope | None) -> None:
        """Have *scope* raise how it failed, if it has ended and nobody has asked for it."""
        self._report_to(scope, self.failure)

    def report_crash(self, scope: Scope | None) -> None:
        """Have *scope* raise that it crashed in the last moment, before it was killed.

        An exception in that moment may come from the end of the test, which has removed what the child waited for.
        """
        self._report_to(scope, self.crash)

    def _report_to(self, scope: Scope | None, find: Callable[[], BaseException | None]) -> None:
        if scope is not None and (failure := find()) is not None:
            scope.report(failure)
            self._asked = True

    def _end(self) -> None:
        """Kill the process and its group, reap it, and pass on its output."""
        self.report_failure(self._scope)
        finish(
            self._end_tree,
            partial(self.report_crash, self._scope),
            partial(tree.let_go, self._tag),
            partial(settle, self._process),  # the objects that it created and could not release
            self._pass_output_on,
            partial(close_all, self._fds),
        )

    def _end_tree(self) -> None:
        """Kill the process and its descendants. OSError, and the record stays open, if one cannot be killed."""
        if not self._record.is_open:
            return
        if not self._leader.reap():
            history.about_to_kill(self.pid)
            self._below |= tree.descendants(self._process)
            self._leader.kill()
        else:
            self._leader.kill_rest_of_group()
        tree.end(self._tag, self._process, self._below)
        self._record.closed()

    def _readable(self) -> bool:
        """Return whether its files are still open."""
        return bool(self._fds)

    def _trim(self) -> None:
        if self._readable():
            for output in self._outputs:
                output.trim()

    def _has_begun(self) -> bool:
        """Return whether it does by now what it was started for."""
        return True

    def _raise_reported(self) -> None:
        """Raise the exception that the process has reported, if any."""

    def _raise_death(self, what: str) -> None:
        """Raise the error of a wait for *what* if the process has ended first."""
        __tracebackhide__ = True
        self._raise_reported()
        self._asked = True
        raise ChildDied(f"waited for {self!r} {what}, but it {self._ending()}{self._said()}", self.status)

    def _named(self) -> str:
        return f"{self!r}{f' of {self._test}' if self._test else ''}"

    def _ending(self) -> str:
        return self._leader.ending()

    def _now(self) -> str:
        return f"it was {proc.doing(self.pid)}{self._said()}"

    def _said(self) -> str:
        """Return its output for an error message."""
        return ""

    def _pass_output_on(self) -> None:
        """Write new output to the standard output of this process, so that the test's report shows it."""
        if self._readable():
            for output in self._outputs:
                output.pass_on(sys.stdout)

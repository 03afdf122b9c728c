"""Forked children: a test starts them, observes them from the kernel's side, gets their result, and they end with it.

A child of a bare os.fork() in a test is a second pytest: it holds the worker's pipe, and an exception in it runs the
rest of the session again. An actor runs one function and leaves by os._exit, whatever happens. It dies with its parent:
at once where the main thread started it (PR_SET_PDEATHSIG), else by the reaper's hand. It leads a process group of its
own, and has all its parent's descriptors but those of the test runner (inheritance.py).

What it sends back goes through memory files, not pipes: nobody has to read while it runs, a result of any size cannot
block it, and a grandchild that lives on keeps nobody waiting. Its end is the event (a pidfd); then everything is there.
"""

from __future__ import annotations

import resource  # noqa: F401 - every child needs it, and would otherwise load it for itself: a third of what it costs
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from errno import EINVAL, ENOSYS
from functools import partial
from threading import get_native_id
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar, cast
from weakref import WeakSet

from ..custody.cleanup import finish
from ..custody.identity import Process, new_tag, start_of
from ..custody.ledger import Record, intent
from ..custody.sweep import settle
from ..kernel import libc, proc
from ..kernel.bare_fork import fork
from ..kernel.memfile import memory_file, put_high, read_from
from ..kernel.pidfd import PIDFD_SIGNAL_PROCESS_GROUP, pidfd_open, pidfd_send_signal
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, close_all, timed_out
from ..unpatched import os, signal
from . import child_report, tree
from .bootstrap import live
from .sleep_watch import SleepWatch, state_letter

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Child", "ChildDied"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Result = TypeVar("Result")
Returned = TypeVar("Returned")


class ChildDied(Exception):
    """A child ended without a result: by a signal, by leaving on its own, or because another program took its place.

    `status` is its exit status, or less than 0 for a signal, as subprocess has it; None if somebody else reaped it, or
    the kernel because SIGCHLD is ignored (wait(2), NOTES).
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


# Those of this process that have descriptors, which are of no use to a child.
_actors: WeakSet[Child[Any]] = WeakSet()


def _forget_actors() -> None:
    """In a child: close the descriptors of its parent's other children.

    A number that is another file's by now stays open.
    """
    for actor in _actors:
        for fd in actor._fds:  # noqa: SLF001 - of this module
            with suppress(OSError):
                refers_to = os.readlink(f"/proc/self/fd/{fd}")
                if "pytest-ipc-" in refers_to or "[pidfd]" in refers_to:
                    os.close(fd)
    _actors.clear()


class Child(Resource, Generic[Result]):
    """A forked child that runs one function (fork(2)); ended, with its process group, when its block or scope ends.

    `pid` is its process id, `pidfd` a descriptor for it (None where the kernel has no pidfd_open), `account` which of
    the kernel's accounts the last wait_blocked() read: "syscall", or "state" where the call itself is not shown.
    """

    def __init__(
        self, pid: int, name: str, report: int, output: int, record: Record, tag: int, scope: Scope | None
    ) -> None:
        self.pid = pid
        self._record = record
        self._tag = tag
        self._process = Process(pid, start_of(pid) or 0)
        self.pidfd: int | None = _pidfd(pid)
        self.name = name
        self.account: str | None = None
        self.status: int | None = None
        self._report = report
        self._output = output
        self._fds = [fd for fd in (report, output, self.pidfd) if fd is not None]
        self._below: set[tuple[int, int]] = set()  # what was seen below the child when it was about to be killed
        self._reaped = False
        self._lost = ""  # why there is no status
        self._outlived = False
        self._told = False  # what it called is among this process's recent calls
        self._passed_on = 0
        super().__init__(scope)
        _actors.add(self)

    @classmethod
    def start(
        cls,
        function: Callable[..., Returned],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        *,
        keep: AbstractSet[int] = frozenset(),
        enter: Callable[[], None] | None = None,
        scope: Scope | None = None,
    ) -> Child[Returned]:
        """fork(2): a child that runs function(*args, **kwargs). OSError.

        It has its parent's descriptors but for the test runner's pipes, of which it keeps those in *keep*. It calls
        *enter* first, where that is given, and what that raises is what the child raised.
        """
        if not callable(function):
            raise TypeError(f"an actor needs a function to run, not {function!r}")
        parent = os.getpid()
        # What is buffered now would otherwise be written by both processes.
        sys.stdout.flush()
        sys.stderr.flush()
        libc.fflush()
        tag = new_tag()
        with ExitStack() as files, intent("process", tag=tag, session=os.getsid(0)) as record:
            report, output = (memory_file(f"pytest-ipc-{name}") for name in ("report", "output"))
            files.callback(os.close, report)
            files.callback(os.close, output)
            tree.adopt(tag)
            files.callback(tree.let_go, tag)
            tied = get_native_id() == parent
            pid = fork()
            files.pop_all()  # the fork did not fail: they are the actor's
        if pid == 0:

            def task() -> Returned:
                if enter is not None:
                    enter()
                return function(*args, **kwargs)

            _forget_actors()
            live(parent, tied, tag, report, output, keep, task, scope)
        # The child alone makes its group: a second setpgid from here could come late and undo what its function has
        # done.
        make = cast("type[Child[Returned]]", cls)
        actor = make(pid, getattr(function, "__name__", type(function).__name__), report, output, record, tag, scope)
        tree.started(tag, actor._process)  # noqa: SLF001 - of this class
        record.made(pid=pid, start=actor._process.start)  # noqa: SLF001 - likewise
        return actor

    def __repr__(self) -> str:
        return f"<child {self.pid} ({self.name})>"

    @property
    def alive(self) -> bool:
        """Whether the child still runs, or is stopped. A zombie has ended."""
        return not self._reap(os.WNOHANG)

    @property
    def output(self) -> str:
        """What the child has written to its standard output and error so far."""
        self._usable()
        return read_from(self._output, 0).decode(errors="replace")

    def wait(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for the child's end: its exit status, or -N for signal N.

        None if somebody else reaped it, or SIGCHLD is ignored.

        TimeoutError after *timeout* seconds, saying what the child was doing.
        """
        __tracebackhide__ = True
        self._usable()
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: self._reap(os.WNOHANG), self.pidfd, told=True):
            raise timed_out(seconds, f"{self!r} to end", self._now)
        self._pass_output_on()
        return self.status

    def result(self, *, timeout: Timeout = DEFAULT) -> Result:
        """Wait for the child's end and give what its function returned.

        Raise what it raised, with its traceback as a note.

        ChildDied when there is neither; TimeoutError after *timeout* seconds, saying what the child was doing.
        """
        __tracebackhide__ = True  # pytest then points at the test's line; the child's frames are in the note
        self._usable()
        self.wait(timeout=timeout)
        report = self._report_of_end()
        if report.outcome is None:
            raise ChildDied(f"{self!r} {self._ending()}{self._said()}", self.status)
        result: Result = report.value
        return result

    def _report_of_end(self) -> child_report.Report:
        """What the child reported before it ended; what it raised is raised here."""
        __tracebackhide__ = True
        report = child_report.read(self._report)
        if not self._told:
            self._told = True
            libc.note_calls(self.pid, report.calls)
        if report.error is not None:
            report.error.add_note(f"in {self!r}:\n{report.traceback}")
            raise report.error
        return report

    def wait_blocked(self, call: str | None = None, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the kernel shows the child asleep, in system call *call* if given (`"openat"`, `"read"`).

        The calls that libc may make in its stead count too: `"open"` is openat, `"semop"` is semtimedop. Where
        /proc/PID/syscall cannot be read the state alone must do; `account` says which it was. TimeoutError after
        *timeout* seconds, saying what the child did instead; what its function raised, or ChildDied, if it ended;
        ValueError for an unknown call.
        """
        __tracebackhide__ = True
        self._usable()
        watch = SleepWatch(self.pid, call, repr(self))

        def blocked() -> bool:
            if self._reap(os.WNOHANG) or not child_report.started(self._report):
                return self._reaped
            asleep = watch.asleep()
            self.account = watch.source
            return asleep

        seconds = check_timeout(timeout)
        asleep = Deadline(seconds).until(blocked, self.pidfd)
        what = f"to sleep in {call}" if call else "to sleep"
        if self._reaped:
            self._report_of_end()
            raise ChildDied(f"waited for {self!r} {what}, but it {self._ending()}{self._said()}", self.status)
        if not asleep:
            raise timed_out(seconds, f"{self!r} {what}", self._now)

    def wait_state(self, states: str, *, timeout: Timeout = DEFAULT) -> str:
        """Wait until the child's state in /proc/PID/stat is one of the letters *states*, as "T" for stopped.

        Which it was.

        TimeoutError after *timeout* seconds, saying what the child was doing; what its function raised, or ChildDied,
        if it ended and that is none of the states.
        """
        __tracebackhide__ = True
        self._usable()
        found, ends = "", not {"Z", "X"}.isdisjoint(states)

        def reached() -> bool:
            nonlocal found
            found = "X" if self._reaped else state_letter(self.pid, repr(self))
            return found in states or (found in "ZX" and not ends and self._reap(os.WNOHANG))

        seconds = check_timeout(timeout)
        came = Deadline(seconds).until(reached)
        if found not in states and self._reaped:
            self._report_of_end()
            raise ChildDied(
                f"waited for {self!r} to be in state {states}, but it {self._ending()}{self._said()}", self.status
            )
        if not came:
            raise timed_out(seconds, f"{self!r} to be in state {states}", self._now)
        return found

    def signal(self, signo: int) -> None:
        """pidfd_send_signal(2), or kill(2) where that is missing. ProcessLookupError when the child has ended.

        OSError.
        """
        self._usable()
        if self._reap(os.WNOHANG):
            raise ProcessLookupError(3, f"{self!r} has ended")
        if self.pidfd is None:
            os.kill(self.pid, signo)  # not reaped yet, so the pid is still this child's
        else:
            pidfd_send_signal(self.pidfd, signo)

    def _end(self) -> None:
        """End the child and its process group by SIGKILL, reap it, and pass on its output."""
        finish(
            self._end_tree,
            partial(tree.let_go, self._tag),
            partial(settle, self._process),  # what it made and could not end itself
            self._pass_output_on,
            partial(close_all, self._fds),
        )

    def _end_tree(self) -> None:
        """End the child and all below it. OSError if one of them cannot be ended; the record stays open then."""
        if not self._record.is_open:
            return
        if not self._reap(os.WNOHANG):
            self._below |= tree.descendants(self._process)
            # The leader is not reaped, so the group's number cannot have passed to anybody else.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._kill_leader()
            self._reap(0)
        elif self._outlived:
            self._kill_rest_of_group()
        tree.end(self._tag, self._process, self._below)
        self._record.closed()

    def _kill_rest_of_group(self) -> None:
        """Kill those whom the child left behind in its group.

        Nobody can be given its number while one of them lives.
        """
        if self.pidfd is not None:
            try:
                # By the descriptor no other group can be hit, even if all have ended and the number is in use again.
                pidfd_send_signal(self.pidfd, signal.SIGKILL, PIDFD_SIGNAL_PROCESS_GROUP)
                return
            except OSError as error:
                if error.errno not in (EINVAL, ENOSYS):  # before Linux 6.9
                    return
        if proc.process_state(self.pid) is None:  # the number is at least no other leader's
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _kill_leader(self) -> None:
        # It may have left its group (setsid), or have become another user's while this process lacks CAP_KILL.
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _reap(self, options: int) -> bool:
        """Whether the child has ended; takes its status if so. *options* is 0 to wait for that, or WNOHANG."""
        if self._reaped or os.getpid() != self._maker:
            return self._reaped
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            self._reaped = True
            self._lost = (
                "nobody keeps its status: SIGCHLD is ignored here"
                if _sigchld_is_ignored()
                else ("somebody else took its status")
            )
            return True
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            self._reaped = True
            try:
                os.killpg(self.pid, 0)
                self._outlived = True
            except OSError:
                pass  # the group went with its leader
        return self._reaped

    def _ending(self) -> str:
        if self.status is None:
            return f"ended, and {self._lost}"
        if self.status < 0:
            try:
                return f"was killed by {signal.Signals(-self.status).name}"
            except ValueError:
                return f"was killed by signal {-self.status}"
        return f"left with status {self.status} and without a result"

    def _doing(self) -> str:
        begun = "" if child_report.started(self._report) else ", before its function began"
        return proc.doing(self.pid) + begun

    def _now(self) -> str:
        return f"it was {self._doing()}{self._said()}"

    def _said(self) -> str:
        return f"\nits output was:\n{self.output}" if self.output else ""

    def _pass_output_on(self) -> None:
        """Write what the child wrote where the parent's own output goes, so that it is in the test's report."""
        if not self._fds:
            return
        data = read_from(self._output, self._passed_on)
        self._passed_on += len(data)
        if data:
            write_text(data.decode(errors="replace"), sys.stdout)


def write_text(text: str, stream: TextIO) -> None:
    """Write *text* to a stream whose encoding may lack some of its characters."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _sigchld_is_ignored() -> bool:
    """Whether the kernel reaps the children of this process, for SIG_IGN or SA_NOCLDWAIT."""
    from ..kernel.signals import SA_NOCLDWAIT, sigaction

    try:
        action = sigaction(signal.SIGCHLD)
    except OSError:
        return False
    return action.handler == signal.SIG_IGN or bool(action.flags & SA_NOCLDWAIT)


def _pidfd(pid: int) -> int | None:
    try:
        return put_high(pidfd_open(pid))
    except OSError:  # an old kernel, a sandbox's filter: the waits then ask instead of being told
        return None

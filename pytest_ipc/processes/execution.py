"""The execution of a program in a forked child: from fork(2) to execve(2), whose errors the parent raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from ..kernel.memfile import memory_file, put_high
from ..kernel.waiting import Deadline
from ..resource import close_all
from ..unpatched import os, select, signal
from . import history
from .arguments import why
from .child import Child, ChildDied
from .inheritance import possible_descriptors
from .observe import Observed
from .output import Output

__all__ = ["PIPE", "ExecutedChild", "launch"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PIPE = -1  # subprocess.PIPE
# Seconds in which execve(2) must have succeeded or failed; it blocks only on a file system that does not respond.
_EXEC = 60.0


class ExecutedChild(Child[None]):
    """The child that executes the program."""

    outputs: Sequence[Output] = ()  # its standard output and standard error, once it runs

    def _has_ended(self) -> bool:
        for output in self.outputs:
            output.trim()
        return super()._has_ended()

    def _ending(self) -> str:
        return self._leader.ending()

    def observed(self) -> Observed:
        """Return the observer of this process."""
        return Observed(self.pid, self._process.start)

    def death(self, what: str) -> ChildDied:
        """Return the error of a wait for *what* if the program ended first."""
        return ChildDied(f"waited for {what}, but it {self._ending()}{self._said()}", self.status)

    def now(self) -> str:
        """Return what the process is doing, and its output."""
        return self._now()

    def said(self) -> str:
        """Return the output of the program for an error message."""
        return self._said()

    def raise_failure(self) -> None:
        """Raise the error from before execve(2) that the child reported."""
        self._report_of_end()

    def _said(self) -> str:
        said = ""
        for name, output in zip(("output", "error output"), self.outputs, strict=False):
            if text := output.shown():
                said += f"\nits {name} was:\n{text}"
        return said or super()._said()


def launch(
    words: tuple[str, ...],
    env: Mapping[str, str] | None,
    cwd: str | None,
    stdin: bytes | int | None,
    pass_fds: tuple[int, ...],
    *,
    default_signals: bool,
) -> tuple[ExecutedChild, list[int], int | None]:
    """Start a program as Program.start() does. Raises OSError with the errno of execve(2) or chdir(2).

    Return its process, the memory files of its output, and the descriptor of its standard input if that is a pipe.
    """
    __tracebackhide__ = True
    # The child is closed last: the search for its descendants needs descriptors, and there may be no others.
    with ExitStack() as started, ExitStack() as failed, ExitStack() as handed:
        output: list[int] = []
        failed.callback(close_all, output)
        for name in ("stdout", "stderr"):
            output.append(memory_file(f"pytest-ipc-{name}"))  # noqa: PERF401 - each is closed if the next fails
        source, own = _stdin(stdin, handed, failed)
        answer, error = map(put_high, os.pipe2(os.O_CLOEXEC))
        failed.callback(os.close, answer)
        with ExitStack() as writer:
            writer.callback(os.close, error)
            child = ExecutedChild.start(
                _execute,
                (words, env, cwd, (source, *output), pass_fds, default_signals, error),
                keep=frozenset({source, error, *output, *pass_fds}),
            )
            assert isinstance(child, ExecutedChild)
            started.callback(child.close)
        child.name = os.path.basename(words[0])
        history.started(child.pid, child.name)
        _raise_failure(child, answer, words, env, cwd)
        child.outputs = [Output(fd) for fd in output]
        started.pop_all()
        failed.pop_all()
        os.close(answer)
    return child, output, own


def _stdin(stdin: bytes | int | None, handed: ExitStack, failed: ExitStack) -> tuple[int, int | None]:
    """Return the descriptor that the program reads, and the one that this process writes; both are to be closed."""
    if stdin is None:
        fd = put_high(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        handed.callback(os.close, fd)
        return fd, None
    if isinstance(stdin, bytes):
        fd = memory_file("pytest-ipc-stdin")
        handed.callback(os.close, fd)
        while stdin:
            stdin = stdin[os.write(fd, stdin) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd, None
    source, own = map(put_high, os.pipe2(os.O_CLOEXEC))
    handed.callback(os.close, source)
    failed.callback(os.close, own)
    return source, own


def _raise_failure(
    child: ExecutedChild, answer: int, words: Sequence[str], env: Mapping[str, str] | None, cwd: str | None
) -> None:
    """Wait until the program runs; raise the error that prevented it."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    deadline = Deadline(_EXEC)
    while not poll.poll(deadline.left_ms):
        if deadline.passed:
            raise TimeoutError(f"{words[0]!r} could not be executed within {_EXEC} s; {child.now()}")
    if error := os.read(answer, 64):
        call, _, code = error.decode().partition(":")
        errno = int(code)
        failure = OSError(errno, f"{call}: {os.strerror(errno)}", cwd if call == "chdir to cwd" else words[0])
        if call == "execve" and (reason := why(errno, words, env, cwd)):
            failure.add_note(reason)
        raise failure
    child.raise_failure()


def _execute(
    words: tuple[str, ...],
    env: Mapping[str, str] | None,
    cwd: str | None,
    streams: tuple[int, int, int],
    pass_fds: tuple[int, ...],
    default_signals: bool,
    error: int,
) -> None:
    """Execute the program, in the child, or write the errno to *error* and exit."""
    failing = "prepare"
    try:
        if default_signals:
            _reset_signals()
        for fd in possible_descriptors():
            if fd > 2 and fd not in pass_fds:
                with suppress(OSError):  # not open
                    os.set_inheritable(fd, False)
        for source, target in zip(streams, (0, 1, 2), strict=True):
            os.dup2(source, target)
        for fd in pass_fds:
            os.set_inheritable(fd, True)
        if cwd is not None:
            failing = "chdir to cwd"
            os.chdir(cwd)
        failing = "execve"
        os.execvpe(words[0], list(words), dict(os.environ if env is None else env))
    except OSError as failure:
        os.write(error, f"{failing}:{failure.errno}".encode())
        os._exit(127)


def _reset_signals() -> None:
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(signo) == signal.SIG_IGN:
            signal.signal(signo, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())

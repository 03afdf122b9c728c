"""Run a program on several platforms at once, each behind a command that starts a Python there: `ssh host python3`.

The command receives a program with the bundle on its standard input: nothing has to be installed there, and no part of
it is interpreted by a shell. It replies with lines that begin with a secret token. Each platform is a process of its
own, which may die, hang or never start without an effect on the others, and in which pytest-xdist can use several CPUs.
(pytest-xdist's own --dist each ends the whole run if one platform cannot start, cannot pass the shell of an ssh, and
needs the same versions of our packages there.)
"""

from __future__ import annotations

import json
import os
import re
import select
import selectors
import signal
import subprocess
import tempfile
from base64 import encodebytes
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from .build_bundle import OPENING

__all__ = ["Connection", "program", "run_all"]

# Seconds for a platform that must end: it removes a directory, and kills a hanging child after 20 seconds.
_SECONDS_TO_END = 30

# Bytes: a command that prints more than this is not Python.
_MOST_OF_A_LINE = 1_000_000

_SCRIPT = """\
{opening}
import base64, io, zipfile
sys.stdout.write({token!r} + " started\\n")
sys.stdout.flush()
archive = io.BytesIO(base64.b64decode('''
{bundle}'''))
names = dict(__name__="pytest_ipc_unpack")
exec(compile(zipfile.ZipFile(archive).read("pytest_ipc_unpack.py"), "pytest_ipc_unpack.py", "exec"), names)
worker = {worker!r}
sys.exit(names["run"](archive, ["-m", worker, {token!r}, {request!r}], dict(), apart=True))
"""


def program(worker: str, token: str, bundle: bytes, request: dict[str, Any]) -> bytes:
    """Return the program that unpacks *bundle* and runs its module *worker* with *token* and *request*."""
    text = _SCRIPT.format(
        opening=OPENING,
        worker=worker,
        token=token,
        bundle=encodebytes(bundle).decode(),
        request=json.dumps(request),
    )
    return text.encode()


def run_all(
    connections: Iterable[Connection],
    script: bytes,
    *,
    patience: float | None,
    longer_if_slow: bool = False,
    at_once: int | None = None,
) -> None:
    """Start *script* on all platforms, *at_once* at a time, and read what they report until each has ended.

    A platform that is silent for *patience* seconds is given up; *longer_if_slow* extends that to three times the limit
    that the platform itself reports. However this function ends, all platforms have ended.
    """
    started: list[Connection] = []
    with tempfile.NamedTemporaryFile(prefix="pytest-ipc-", suffix=".py") as file, selectors.DefaultSelector() as ready:
        file.write(script)
        file.flush()
        waiting = iter(connections)
        try:
            while True:
                running = [connection for connection in started if not connection.over]
                while at_once is None or len(running) < at_once:
                    connection = next(waiting, None)
                    if connection is None:
                        break
                    started.append(connection)
                    if connection.start(file.name):
                        running.append(connection)
                        ready.register(connection.output, selectors.EVENT_READ, connection)
                if not running:
                    return
                for key, _ in ready.select(0.1):
                    if not key.data.read():
                        ready.unregister(key.fileobj)
                for connection in running:
                    connection.look(patience, longer_if_slow)
        except KeyboardInterrupt as error:
            for connection in started:
                connection.interrupt(getattr(signal, str(error), signal.SIGINT))
            raise
        finally:
            for connection in started:
                connection.close()


class Connection:
    """The connection to one platform. A subclass handles what the platform reports, its failure and an interruption."""

    def __init__(self, command: list[str], token: str) -> None:
        self.over = False
        self.limit: float = 0.0  # seconds that the platform may be silent, as it reports itself: longer on a slow one
        self._command = command
        self._token = token.encode()
        self._buffer = b""
        self._answered = False  # Python has started there
        self._since = monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()

    def handle(self, word: str, content: Any) -> None:
        """Handle a line of the platform."""
        raise NotImplementedError

    def fail(self, reason: str, *, died: bool = False) -> None:
        """Handle the failure of the platform, which has *died* or has to be ended; set `over`."""
        raise NotImplementedError

    def interrupt(self, signo: int) -> None:
        """Handle the signal *signo*, by which this process must end."""
        raise NotImplementedError

    @property
    def is_whole(self) -> bool:
        """Whether the platform has reported everything, and ends by itself."""
        raise NotImplementedError

    @property
    def output(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def start(self, script: str) -> bool:
        """Start the command without a way to ask for a password: no terminal and no window."""
        environment = os.environ | {"SSH_ASKPASS_REQUIRE": "never", "SUDO_ASKPASS": "/bin/false"}
        environment.pop("PYTHONUNBUFFERED", None)  # it would make Python read its program, megabytes, byte by byte
        try:
            with open(script, "rb") as program:
                self._process = subprocess.Popen(
                    [*self._command, "-"],
                    stdin=program,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    start_new_session=True,
                    env=environment,
                )
        except OSError as error:
            self.fail(f"{self._command[0]} cannot be started: {error.strerror}")
            return False
        os.set_blocking(self.output, False)
        return True

    def read(self) -> bool:
        """Read available output; return whether more can come."""
        try:
            chunk = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return True
        if self.over:
            return bool(chunk)
        self._since = monotonic()
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if not self.over:
                self._hear(line)
        if not self.over and len(self._buffer) > _MOST_OF_A_LINE:
            self.fail(f"it printed {_some(self._buffer)} without end")
        return bool(chunk)

    def _hear(self, line: bytes) -> None:
        own, _, text = line.partition(b" ")
        if own != self._token:
            if not self._answered:
                self.fail(f"its command must print nothing before Python starts, not {_some(line)}")
            return  # from a process that was started there before the channel was private
        self._answered = True
        if text != b"started":
            word, content = json.loads(text)
            self.handle(word, content)

    def look(self, patience: float | None, longer_if_slow: bool) -> None:
        """Check whether the platform still responds."""
        if patience is not None and longer_if_slow:
            patience = max(patience, 3 * self.limit)
        if self.over or self._process is None:
            return
        if self._process.poll() is not None:
            while not self.over:  # its last lines; a process that it leaked may hold end of file back
                before = len(self._buffer)
                if not self.read() or len(self._buffer) == before:
                    break
            if not self.over:
                if self._buffer and not self._answered:
                    self._hear(self._buffer)  # its only line, without a newline
                else:
                    self.fail(f"it {self._how_it_ended()}", died=True)
        elif patience is not None and monotonic() - self._since > patience:
            what = "it was silent" if self._answered else "no Python answered"
            self.fail(f"{what} for {patience:g} seconds{self._last_error()}")

    def _how_it_ended(self) -> str:
        assert self._process is not None
        code = self._process.returncode
        if code == 0 and not self._answered:
            return "ended without running the program on its standard input"
        how = f"status {code}" if code >= 0 else signal.Signals(-code).name
        return f"ended ({how}){self._last_error()}"

    def _last_error(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4000))
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {_printable(lines[-1].strip().removeprefix('pytest-ipc: '))}" if lines else ""

    def close(self) -> None:
        """End the process if it still runs, and close the connection."""
        if self._process is not None:
            if self.is_whole:
                with suppress(subprocess.TimeoutExpired):  # it is ended below
                    self._process.wait(_SECONDS_TO_END)
            self.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._errors.close()

    def kill(self) -> None:
        """End the process, at first by SIGTERM."""
        if self._process is None:
            return
        for signo in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with suppress(ProcessLookupError):  # it has ended
                    os.killpg(self._process.pid, signo)
                self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a platform that must end, and read its output meanwhile."""
        deadline = monotonic() + _SECONDS_TO_END
        output = select.poll()
        output.register(self.output, select.POLLIN)
        while process.poll() is None and monotonic() < deadline:
            if not output.poll(50):
                continue
            with suppress(BlockingIOError):  # another process has read it since
                if not os.read(self.output, 1 << 16):
                    sleep(0.05)


def _some(line: bytes) -> str:
    return repr(_printable(line[:200].decode(errors="replace").strip()))


def _printable(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= 300 else text[:297] + "..."

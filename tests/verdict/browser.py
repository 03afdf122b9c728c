"""A headless browser: Chromium, controlled by the DevTools protocol over two pipes, without a package or a port."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_ipc.kernel import Deadline

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60


def program() -> str | None:
    """Return the path of an installed browser, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page of a browser."""

    def __init__(self, running: subprocess.Popen[bytes], write_fd: int, read_fd: int) -> None:
        self._running, self._write_fd, self._read_fd = running, write_fd, read_fd
        self._number = 0
        self._session: str | None = None
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> Any:
        """Send a command of the protocol and return the reply."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def tell_browser(self, method: str, **parameters: Any) -> Any:
        """Send a command that is about the browser, not about the page."""
        session, self._session = self._session, None
        try:
            return self.tell(method, **parameters)
        finally:
            self._session = session

    def _next(self) -> dict[str, Any]:
        deadline = Deadline(SECONDS)
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_fd], [], [], deadline.left)
            data = os.read(self._read_fd, 1 << 20) if ready else b""
            assert data, f"the browser said nothing more, within {SECONDS} s or before it ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def open(self, address: str) -> None:
        """Load a page and wait for its scripts."""
        for one in (
            "about:blank",
            address,
        ):  # by way of another page, because a changed fragment alone loads nothing
            self.events.clear()
            self.tell("Page.navigate", url=one)
            while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
                self.events.append(self._next())

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        assert Deadline(SECONDS).until(lambda: self.ask(f"Boolean({expression})")), f"never came: {expression}"

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        codes = {"Enter": 13, "Tab": 9, " ": 32, "ArrowDown": 40, "ArrowUp": 38, "/": 191}
        self.tell("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=codes[key], **text)
        self.tell("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=codes[key])

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page in CSS pixels."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def prefer(self, scheme: str) -> None:
        """Set the reader's preferred colour scheme: light or dark."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """Write a screenshot to a PNG file."""
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))


def _out_of_the_way(fd: int) -> int:
    """Return a duplicate of the descriptor whose number is neither 3 nor 4."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(fd)
    return moved


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with its files below *folder*, and end it with the block."""
    path = program()
    assert path is not None
    to_it, from_me = map(_out_of_the_way, os.pipe())
    to_me, from_it = map(_out_of_the_way, os.pipe())
    # The protocol uses descriptors 3 and 4; a shell redirects them.
    script = f'exec "$@" 3<&{to_it} 4>&{from_it} {to_it}<&- {from_it}>&-'
    command = [
        path,
        "--headless",
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]
    command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={folder / 'profile'}"]
    environment = os.environ | {"TMPDIR": str(folder), "HOME": str(folder)}
    running = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(to_it, from_it),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(to_it)
    os.close(from_it)
    try:
        found = Browser(running, from_me, to_me)
        yield found
        found._session = None
        found.tell("Browser.close")
        running.wait(SECONDS)
    finally:
        os.close(from_me)
        os.close(to_me)
        running.kill()
        running.wait()

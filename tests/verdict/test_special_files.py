"""Special files named on a command line are written to and never replaced, and no write hangs."""

from __future__ import annotations

import json
import os
import pty
import socket
import stat
import subprocess
import sys
import threading
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict.reports import atomic, input_file

from . import reports
from .files import written


def test_device_is_written_to_and_not_replaced(device, tmp_path):
    null, full = device(stat.S_IFCHR, 3), device(stat.S_IFCHR, 7)
    for path in (null, full):
        atomic.check_writable(path)
    atomic.write(null, "text")
    with pytest.raises(OSError, match="No space left on device"):
        atomic.write(full, "text")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert stat.S_ISCHR(full.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == [null.name, full.name]


def test_block_device_and_socket_are_refused(tmp_path):
    paths = {"socket": tmp_path / "socket"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths["socket"]))
    if os.geteuid() == 0:
        paths["block device"] = tmp_path / "block"
        os.mknod(paths["block device"], stat.S_IFBLK | 0o600, os.makedev(1, 0))
    for kind, path in paths.items():
        for call in (atomic.check_writable, lambda path: atomic.write(path, "text")):
            with pytest.raises(OSError, match=f"is a {kind}"):
                call(path)
        assert not path.is_file()


class Draining:
    """Read a FIFO to its end in a thread."""

    def __init__(self, path: Path) -> None:
        self.content = b""
        self._thread = threading.Thread(target=self._drain, args=(path,), daemon=True)
        self._thread.start()

    def _drain(self, path: Path) -> None:
        with open(path, "rb") as file:
            self.content = file.read()

    def end(self) -> bytes:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.content


def test_fifo_is_written_to_and_its_reader_gets_all(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    text = "x" * 1_000_000
    reader = Draining(path)
    written(path, text)
    assert reader.end() == text.encode()
    assert path.is_fifo()


@pytest.mark.usefixtures("impatient")
def test_fifo_without_an_active_reader_is_an_error(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    atomic.check_writable(path)
    with pytest.raises(OSError, match=r"is a FIFO that no process opened for reading within 0\.1 seconds"):
        atomic.write(path, "text")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl(reader, F_SETPIPE_SZ, 4096)
    with pytest.raises(OSError, match=r"nothing was read from it for 0\.1 seconds"):
        atomic.write(path, "x" * 100_000)
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.usefixtures("impatient")
def test_terminal_without_a_reader_is_an_error():
    controller, terminal = pty.openpty()
    path = Path(os.ttyname(terminal))
    try:
        written(path, "text")
        assert os.read(controller, 100) == b"text"
        with pytest.raises(OSError, match="nothing was read from it"):
            atomic.write(path, "x" * 1_000_000)
        with pytest.raises(OSError, match="nothing was written to it"):
            input_file.read(path)
    finally:
        os.close(controller)
        os.close(terminal)


def test_own_descriptor_is_written_at_its_position(tmp_path):
    with open(tmp_path / "log", "w+b") as log:
        log.write(b"before ")
        log.flush()
        for name in (
            f"/dev/fd/{log.fileno()}",
            f"/proc/self/fd/{log.fileno()}",
            f"/proc/thread-self/fd/{log.fileno()}",
        ):
            written(Path(name), "text ")
        assert (tmp_path / "log").read_bytes() == b"before text text text "
        assert os.listdir(tmp_path) == ["log"]
        assert not atomic.keeps(Path(f"/dev/fd/{log.fileno()}"))
        assert atomic.keeps(tmp_path / "log")
    left, right = socket.socketpair()
    with left, right:
        written(Path(f"/dev/fd/{left.fileno()}"), "text")
        assert right.recv(100) == b"text"
    with open(tmp_path / "log") as reader, pytest.raises(OSError, match="is not open for writing"):
        atomic.check_writable(Path(f"/dev/fd/{reader.fileno()}"))
    for call in (atomic.check_writable, lambda path: atomic.write(path, "text"), input_file.read):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call(Path("/dev/fd/987654"))


OUTPUTS = {
    "expect": ["expect", "REPORT", "-o"],
    "compare": ["compare", "REPORT", "--html"],
    "platform": ["platform", "REPORT", "--json"],
    "badge": ["badge", "REPORT", "-o"],
    "bundle": ["bundle", "-o"],
    "check": ["check", "shmdt.einval-unaligned", "--report"],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_command_replaces_a_special_file(tmp_path, name):
    """The command runs in a process of its own, because some ask for their terminal."""
    fifo, link, target = tmp_path / "fifo", tmp_path / "link", tmp_path / "target"
    os.mkfifo(fifo)
    link.symlink_to("target")
    report = reports.write(tmp_path, "box", {"shmget.a": reports.DEVIATES})
    bundle = tmp_path / "any.pyz"
    bundle.write_bytes(b"content")
    words = [str(report) if word == "REPORT" else word for word in OUTPUTS[name]]
    for path in (fifo, link):
        reader = Draining(fifo) if path == fifo else None
        done = subprocess.run(
            [sys.executable, "-m", "pytest_ipc", *words, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"PYTEST_IPC_BUNDLE": str(bundle)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (reader.end() if reader is not None else target.read_bytes()) != b""
    assert fifo.is_fifo()
    assert link.is_symlink()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", [name for name in OUTPUTS if name != "check"])
def test_every_command_reports_a_fifo_without_a_reader(tmp_path, monkeypatch, capsys, name):
    os.mkfifo(tmp_path / "fifo")
    report = reports.write(tmp_path, "box", {"shmget.a": reports.DEVIATES})
    monkeypatch.setenv("PYTEST_IPC_BUNDLE", str(report))
    words = [str(report) if word == "REPORT" else word for word in OUTPUTS[name]]
    assert main([*words, str(tmp_path / "fifo")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "is a FIFO that no process opened for reading" in said.err


def test_report_to_the_standard_output(tmp_path):
    """The report is appended to a file with other output."""
    with open(tmp_path / "log", "w+") as log:
        subprocess.run(
            [sys.executable, "-m", "pytest_ipc", "check", "shmdt.einval-unaligned", "--report", "/dev/stdout"],
            stdout=log,
            timeout=60,
            check=True,
        )
        log.seek(0)
        text = log.read()
    before, brace, rest = text.partition("{\n")
    assert "This platform passes the 1 clause" in before
    reports.validate(json.loads(brace + rest))

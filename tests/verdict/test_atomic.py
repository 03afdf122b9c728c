"""Files named on a command line: only regular files are replaced, and neither reading nor writing hangs."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

import pytest

from pytest_ipc import Child
from pytest_ipc.cli import main
from pytest_ipc.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.reports import atomic, expectations, input_file
from pytest_ipc.verdict.reports.reader import Reader

from . import reports

OTHER = 61003  # a user id that no account needs to have


def as_root() -> None:
    if os.geteuid():
        pytest.skip("needs root")


@pytest.fixture
def impatient(monkeypatch):
    """Give up a missing reader or writer at once."""
    monkeypatch.setattr(atomic, "PATIENCE", 0.1)
    monkeypatch.setattr(input_file, "PATIENCE", 0.1)


def written(path: Path, content: str | bytes, **options) -> None:
    atomic.check_writable(path)
    atomic.write(path, content, **options)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("executable", "mode"), [(False, 0o640), (True, 0o750)])
def test_new_file_has_the_mode_of_the_umask(tmp_path, executable, mode):
    written(tmp_path / "new", "text", executable=executable)
    assert ((tmp_path / "new").read_text(), mode_of(tmp_path / "new")) == ("text", mode)
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize(("executable", "mode"), [(False, 0o640), (True, 0o750)])
def test_regular_file_is_replaced_and_keeps_its_mode(tmp_path, executable, mode):
    path = tmp_path / "file"
    path.write_text("a longer text")
    path.chmod(0o640)
    old = path.stat().st_ino
    with open(path) as reader:
        written(path, "text", executable=executable)
        assert reader.read() == "a longer text"
    assert (path.read_text(), mode_of(path)) == ("text", mode)
    assert path.stat().st_ino != old
    assert os.listdir(tmp_path) == ["file"]


def test_regular_file_keeps_its_owner(tmp_path):
    as_root()
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, OTHER, OTHER)
    written(path, "text")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("text", OTHER, OTHER)


def as_other(function: Callable[..., object], *args: object) -> object:
    """Call a function as another user and return its result."""

    def life() -> object:
        os.setgroups([])
        os.setgid(OTHER)
        os.setuid(OTHER)
        return function(*args)

    with Child.start(life) as child:
        return child.result()


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Return a directory in which other users may create files, but not replace those of others."""
    as_root()
    for folder in tmp_path.parents:
        if folder != folder.parent and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o1777)
    return tmp_path


def test_file_whose_owner_cannot_be_set_is_written_in_place(others):
    path = others / "file"
    path.write_text("a longer text")
    path.chmod(0o666)
    others.chmod(0o777)
    old = path.stat().st_ino
    as_other(written, path, "text")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_ino) == ("text", os.getuid(), old)


@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_file_in_a_read_only_directory_is_written_in_place(others, mode):
    path = others / "file"
    path.write_text("a longer text")
    path.chmod(0o666)
    others.chmod(mode)
    as_other(written, path, "text")
    assert path.read_text() == "text"
    assert os.listdir(others) == ["file"]


def test_read_only_file_is_not_replaced(others):
    path = others / "file"
    path.write_text("old")
    path.chmod(0o444)
    os.chown(path, OTHER, OTHER)
    for call in (atomic.check_writable, lambda path: atomic.write(path, "text")):
        with pytest.raises(PermissionError):
            as_other(call, path)
    assert path.read_text() == "old"


def test_mount_point_is_written_in_place(tmp_path):
    path, outside = tmp_path / "file", tmp_path / "outside"
    for file in (path, outside):
        file.write_text("old")

    def life() -> None:
        unshare(CLONE_NEWNS)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount(str(outside), path, None, 0x1000)  # MS_BIND
        written(path, "text")

    with Child.start(life) as child:
        try:
            child.result()
        except PermissionError:
            pytest.skip("needs a mount namespace")
    assert (path.read_text(), outside.read_text()) == ("old", "text")


@pytest.mark.parametrize("dangling", [False, True])
def test_symbolic_link_is_kept_and_its_target_is_written(tmp_path, dangling):
    (tmp_path / "folder").mkdir()
    target, link, second = tmp_path / "folder/target", tmp_path / "link", tmp_path / "second"
    link.symlink_to("folder/target")
    second.symlink_to("link")
    if not dangling:
        target.write_text("old")
    written(second, "text")
    assert (os.readlink(second), os.readlink(link), target.read_text()) == ("link", "folder/target", "text")
    assert os.listdir(target.parent) == ["target"]


def test_symbolic_link_loop_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for call in (atomic.check_writable, lambda path: atomic.write(path, "text")):
        with pytest.raises(OSError, match=r"(?i)symbolic link"):
            call(tmp_path / "loop")


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write(path, "text")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_file_name_of_the_maximum_length(tmp_path):
    written(tmp_path / ("n" * 255), "text")
    assert (tmp_path / ("n" * 255)).read_text() == "text"


@pytest.fixture
def device(tmp_path: Path) -> Callable[[int, int], Path]:
    """Return a function that creates a device file that nothing else uses."""

    def make(kind: int, minor: int) -> Path:
        path = tmp_path / f"device{minor}"
        try:
            os.mknod(path, kind | 0o666, os.makedev(1, minor))
            os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            pytest.skip(f"needs a device file: {error.strerror}")
        return path

    return make


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
    assert "This platform passes all 1 clauses" in before
    reports.validate(json.loads(brace + rest))


@pytest.fixture
def endless(device: Callable[[int, int], Path]) -> Path:
    return device(stat.S_IFCHR, 5)


def test_endless_file_is_not_a_valid_report(endless, monkeypatch):
    monkeypatch.setattr(input_file, "LIMIT", 3_000_000)
    with pytest.raises(CommandError, match="cannot be read: it has more than 3 MB"):
        Reader().read(endless)
    with pytest.raises(CommandError, match="cannot be read: it has more than 3 MB"):
        expectations.read(endless)


@pytest.mark.usefixtures("impatient")
def test_silent_fifo_is_not_a_valid_report(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(CommandError, match=r"cannot be read: nothing was written to it for 0\.1 seconds"):
        Reader().read(path)
    with pytest.raises(CommandError, match="nothing was written to it"):
        expectations.read(path)


def test_report_is_read_from_a_fifo_and_from_a_descriptor(tmp_path):
    report = reports.write(tmp_path, "box", {"a.b": reports.DEVIATES})
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(report.read_bytes(),))
    writer.start()
    assert Reader().read(fifo).name == "box"
    writer.join(30)
    with open(report, "rb") as file:
        assert Reader().read(Path(f"/dev/fd/{file.fileno()}")).name == "box"


INPUTS = {
    "expect": ["expect", "PATH"],
    "compare": ["compare", "PATH"],
    "platform": ["platform", "PATH"],
    "badge": ["badge", "PATH"],
    "check": ["check", "--expect", "PATH"],
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", INPUTS)
def test_every_command_reports_a_silent_fifo(tmp_path, capsys, name):
    os.mkfifo(tmp_path / "fifo")
    words = [str(tmp_path / "fifo") if word == "PATH" else word for word in INPUTS[name]]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "nothing was written to it for 0.1 seconds" in said.err


def test_expect_reads_no_old_reasons_from_a_special_file(tmp_path):
    """No process writes to the FIFO that is the target."""
    report = reports.write(tmp_path, "box", {"shmget.a": reports.DEVIATES})
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main(["expect", str(report), "-o", str(fifo)]) == 0
        assert select.select([held], [], [], 0)[0]
        assert os.read(held, 10_000).decode().startswith("# Expectations of")
    finally:
        os.close(held)

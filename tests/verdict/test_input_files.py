"""Input files named on a command line: neither an endless nor a silent one hangs a command."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.reports import expectations, input_file
from pytest_ipc.verdict.reports.reader import Reader

from . import reports


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

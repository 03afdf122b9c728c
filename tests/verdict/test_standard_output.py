"""A command whose standard output is full, closed or without a reader: its files, a sentence, and its exit status."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline
from pytest_ipc.processes.sleep_watch import SleepWatch

from ..subprocesses import Running
from .reports import DEVIATES, HOLDS, validate, write

COMMAND = f"{shlex.quote(sys.executable)} -m pytest_ipc"
FULL = "pytest-ipc: the standard output cannot be written: No space left on device\n"
CLOSED = "pytest-ipc: the standard output cannot be written: Bad file descriptor\n"


@pytest.fixture
def reports(tmp_path: Path) -> tuple[Path, Path]:
    """Write two reports of a platform, the second with a new deviation."""
    return write(tmp_path, "old", {"shmget.a": HOLDS}), write(tmp_path, "new", {"shmget.a": DEVIATES}, day=2)


def ends(tmp_path: Path, lines: list[str]) -> list[tuple[int, str]]:
    """Run command lines of the shell at the same time; the exit status and the errors of each."""
    tmp_path.chmod(0o700)
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    environment.pop("PYTHONUNBUFFERED", None)
    running = [
        subprocess.Popen(
            ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for line in lines
    ]
    done = []
    for process in running:
        _, errors = process.communicate(timeout=100)
        done.append((process.returncode, errors))
    return done


def test_output_that_cannot_be_written_is_a_sentence_and_status_3(tmp_path, reports):
    old, new = reports
    commands = [
        "--version",
        "check --help",
        "status",
        "platform",
        f"platform {old} --json -",
        "sweep --dry-run",
        f"badge {old}",
        f"expect {new}",
        "bench --list",
        "check --list fifo",
        f"compare --changes {old} {new}",
    ]
    done = ends(tmp_path, [f"{COMMAND} {command} {to}" for command in commands for to in (">/dev/full", ">&-")])
    assert dict(zip(commands, zip(done[::2], done[1::2], strict=True), strict=True)) == dict.fromkeys(
        commands, ((3, FULL), (3, CLOSED))
    )


def test_output_that_cannot_be_written_does_not_prevent_the_report(tmp_path):
    done = ends(
        tmp_path,
        [
            f"{COMMAND} check shmdt.einval-unaligned --report {tmp_path}/{number}.json {to}"
            for number, to in enumerate((">/dev/full", ">&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"))
        ],
    )
    assert done == [(3, FULL), (3, CLOSED), (3, ""), (3, "")]
    for number in range(4):
        report = json.loads((tmp_path / f"{number}.json").read_text())
        validate(report)
        assert report["exit_status"] == 0


def test_reader_that_has_left_is_status_141_of_every_command(tmp_path, reports):
    old, new = reports
    read, write_end = os.pipe()
    os.close(read)
    commands = ["--help", "platform", f"compare {old} {new}", f"compare --changes {old} {new}", f"badge {old}"]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest_ipc", *command.split()],
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for command in commands
    ]
    os.close(write_end)
    errors = [process.communicate(timeout=100)[1] for process in running]
    assert [(process.returncode, said) for process, said in zip(running, errors, strict=True)] == [(141, "")] * 5


def test_non_blocking_output_is_written_whole():
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    size = fcntl.fcntl(write_end, fcntl.F_GETPIPE_SZ)
    os.write(write_end, b"." * size)
    arguments = [sys.executable, "-m", "pytest_ipc", "check", "--list", "pipe"]
    with Running(arguments, stdout=write_end, stderr=subprocess.PIPE) as running, open(read, "rb") as file:
        os.close(write_end)
        watch = SleepWatch(running.pid, None, "pytest-ipc")
        assert Deadline(60).until(lambda: running.poll() is not None or watch.asleep())
        whole = file.read()[size:]
        assert running.stderr is not None
        assert not running.stderr.read()
    assert running.returncode == 0
    assert whole == subprocess.run(arguments, capture_output=True, timeout=60, check=True).stdout


def test_other_exit_statuses_are_kept_if_nothing_can_be_written(tmp_path, reports):
    old, _ = reports
    done = ends(
        tmp_path,
        [
            f"{COMMAND} compare /no/such.json >&-",
            f"{COMMAND} compare /no/such.json 2>/dev/full",
            f"{COMMAND} compare /no/such.json 2>&-",
            f"{COMMAND} compare 2>/dev/full",
            f"{COMMAND} platform {old} --json {tmp_path}/out.json >&-",
            f"{COMMAND} sweep --orphans <&- 2>&-",
        ],
    )
    assert done[0] == (2, "pytest-ipc: the report /no/such.json cannot be read: No such file or directory\n")
    assert done[1:5] == [(2, ""), (2, ""), (2, ""), (0, "")]
    assert done[5][0] in (0, 1)
    assert (tmp_path / "out.json").exists()

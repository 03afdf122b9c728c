"""The descriptors of a child: its parent's, as after fork(2), except those of the test runner and of this package."""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import custody, unpatched
from pytest_ipc.custody.identity import Process
from pytest_ipc.kernel import open_descriptors
from pytest_ipc.kernel.memfile import HIGH


def held() -> dict[int, str]:
    """Return what each descriptor of this process above the standard streams refers to."""
    return {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors() if fd > 2}


@pytest.fixture
def fd(tmp_path) -> Iterator[int]:
    """Yield a descriptor that is known only by its number."""
    made = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield made
    os.close(made)


def test_child_holds_its_parents_descriptors(fork, fd, pipe, fifo):
    made = fifo()
    keeper = os.open(made.path, os.O_RDWR)
    numbers = (fd, keeper, made.open_reader().fileno(), *pipe().descriptors())
    found = fork(held).result()
    before = held()
    os.close(keeper)
    assert {number: before[number] for number in numbers}.items() <= found.items()


def test_its_streams_are_its_own(fork):
    def life():
        return [os.readlink(f"/proc/self/fd/{fd}").partition(" ")[0] for fd in range(3)]

    assert fork(life).result() == ["/dev/null", "/memfd:pytest-ipc-output", "/memfd:pytest-ipc-output"]


def test_child_holds_only_its_report_and_ledger_of_this_package(fork):
    others = [fork(signal.pause) for _ in range(3)]
    for other in others:
        other.wait_blocked("pause")

    def life():
        return [name for name in held().values() if "pytest-ipc" in name or "pidfd" in name], Process.current()

    names, process = fork(life).result()
    report, ledger = sorted(names)
    assert "memfd:pytest-ipc-report" in report or "memfd:pytest-ipc-report" in ledger
    assert any(f"{process.pid}-{process.start}" in name for name in (report, ledger))


def test_descriptors_of_this_package_are_out_of_the_way(fork):
    """Above those that a test counts, closes by number, or passes to select(2) in small sets."""
    before = held()
    fork(signal.pause)
    new = set(held()) - set(before)
    assert len(new) == 3  # a report, the output, a pidfd
    assert min(new) >= HIGH


def test_a_process_without_standard_streams_has_children(program):
    """Their report, and what else this package holds, must not take the numbers of standard streams."""
    source = """
import os
from pytest_ipc import scope
kept = os.dup(1)
for fd in range(3):
    os.close(fd)
with scope() as ipc:
    children = [ipc.fork(lambda: 7) for _ in range(2)]
    found = [child.result() for child in children], [child.output for child in children]
    free = [os.dup(kept) for _ in range(3)]
os.write(kept, repr((found, free)).encode())
"""
    assert program(source).stdout == "(([7, 7], ['', '']), [0, 1, 2])"


@pytest.mark.parametrize(
    "make",
    [lambda: os.eventfd(5), lambda: os.open("/dev/null", os.O_RDONLY), lambda: os.dup(0)],
    ids=["eventfd", "device", "duplicate"],
)
def test_a_number_that_was_closed_and_opened_again_is_kept(request, make):
    """Anonymous inodes and devices are the same for the old and the new one."""
    before = make()
    fork = request.getfixturevalue("fork")
    os.close(before)
    again = make()
    assert again == before
    assert fork(os.fstat, again).result() == os.fstat(again)
    os.close(again)


def test_an_epoll_instance_works_in_a_child(fork, pipe):
    ends = pipe()
    with select.epoll() as epoll:
        epoll.register(ends.read_fd, select.EPOLLIN)
        ends.write(b"x")
        assert fork(epoll.poll, 0).result() == [(ends.read_fd, select.EPOLLIN)]


def test_a_log_handler_works_in_a_child(fork, tmp_path):
    logger = logging.getLogger("of-a-test")
    handler = logging.FileHandler(tmp_path / "log")
    logger.addHandler(handler)
    try:
        fork(logger.warning, "from the child").result()
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_text() == "from the child\n"


def test_a_handler_of_the_captured_stream_works_in_a_child(fork, capfd):
    handler = logging.StreamHandler(sys.stderr)
    record = logging.makeLogRecord({"msg": "from the child"})
    fork(handler.handle, record).result()
    assert "Logging error" not in capfd.readouterr().err


class Holder:
    """An object with a file, of which a bound method is given."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w+")

    def write(self) -> None:
        self.file.write("written")
        self.file.flush()


def test_a_bound_method_of_an_object_with_a_file_works_in_a_child(fork, tmp_path):
    holder = Holder(tmp_path / "file")
    fork(holder.write).result()
    assert (tmp_path / "file").read_text() == "written"
    holder.file.close()


@pytest.mark.parametrize("used", [False, True], ids=["new", "used before"])
def test_a_queue_of_multiprocessing_works_in_a_child(fork, used):
    queue: Any = multiprocessing.get_context("fork").Queue()
    if used:
        queue.put("before")
        assert queue.get(timeout=30) == "before"

    def life():
        queue.put("from the child")

    fork(life).result(timeout=30)
    assert queue.get(timeout=30) == "from the child"
    queue.put("to the child")
    assert fork(queue.get).result(timeout=30) == "to the child"
    queue.close()
    queue.join_thread()


SHARED = """
from multiprocessing import shared_memory

def test_tracker_starts():
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.close()
    memory.unlink()

def test_child(fork):
    def life():
        memory = shared_memory.SharedMemory(create=True, size=100)
        memory.buf[0] = 7
        memory.close()
        memory.unlink()
        return 7

    assert fork(life).result(timeout=30) == 7
"""


@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=["alone", "worker"])
def test_shared_memory_of_multiprocessing_works_in_a_child_after_its_tracker_has_started(pytester, how):
    pytester.makepyfile(SHARED)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *how).assert_outcomes(passed=2)


def test_a_program_without_a_test_runner_gives_its_children_everything(program):
    source = """
import os
from pytest_ipc import scope
reader, writer = os.pipe()
with scope() as ipc:
    ipc.fork(os.write, writer, b"x").result()
print(os.read(reader, 1).decode())
"""
    assert program(source).stdout == "x\n"


RUNNERS = """
import os, sys

def pipes(pid="self"):
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
    return {fd: link for fd, link in found.items() if link.startswith(("pipe:", "socket:"))}

def test_child(fork, pipe):
    own = pipe()
    mine = pipes()
    of_the_test = {mine[own.read_fd], mine[own.write_fd]}
    assert set(mine.values()) - of_the_test, "the runner has pipes"
    assert set(fork(pipes).result().values()) == of_the_test
    (runners, *_) = [fd for fd, link in mine.items() if fd > 2 and link not in of_the_test]
    assert runners in fork.keeping(runners)(pipes).result()
"""


@pytest.mark.parametrize("how", [[], ["-s"], ["-n", "1"], ["--capture=sys"]], ids=" ".join)
def test_the_pipes_of_the_test_runner_are_closed_in_a_child(pytester, how):
    """Those of an xdist worker, and pytest's standard streams, which its capture duplicates."""
    if how in (["-s"], ["--capture=sys"]):
        source = RUNNERS.replace("def test_child(fork, pipe):", "def test_child(fork, pipe):\n    copy = os.dup(1)")
    else:
        source = RUNNERS
    path = pytester.makepyfile(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *how, path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_without_a_listing_of_descriptors_the_runners_pipes_are_found_by_number(monkeypatch, fork):
    ends = os.pipe()
    monkeypatch.setattr(custody, "runners", set())
    real = os.listdir

    def refuse(path: str) -> list[str]:
        if path == "/proc/self/fd":
            raise FileNotFoundError
        return real(path)

    monkeypatch.setattr(unpatched.os, "listdir", refuse)
    custody.note_runners()

    def life():
        monkeypatch.undo()
        return [fd in held() for fd in ends]

    try:
        assert fork(life).result() == [False, False]
        assert fork.keeping(ends[1])(life).result() == [False, True]
    finally:
        for fd in ends:
            os.close(fd)


def test_end_of_file_arrives_while_another_child_lives(fork, pipe):
    """A child holds only copies that it was given: one that was made before a pipe keeps no end of it open."""
    hold = pipe()
    other = fork(os.read, hold.read_fd, 1)
    other.wait_blocked("read")
    ends = pipe()
    reader = fork(lambda: (ends.close_write(), ends.read(timeout=None))[1])
    reader.wait_blocked("read")
    ends.close_write()
    assert reader.result() == b""
    assert other.alive


def test_a_live_child_holds_no_pipe_of_an_xdist_worker(pytester):
    """The worker is killed while its child lives.

    The run must end by itself, for the child holds nothing of the worker's.
    """
    pytester.makepyfile(
        """
        import os, signal
        from pathlib import Path

        def links(pid):
            found = (os.path.realpath(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
            return {link for link in found if "/pipe:" in link or "/socket:" in link}

        def test_worker_dies(fork):
            child = fork(signal.pause)
            child.wait_blocked("pause")
            mine = links(os.getpid())
            assert len(mine) >= 2, "a worker has pipes"
            assert not {Path(link).name for link in mine} & {Path(link).name for link in links(child.pid)}
            Path("child").write_text(str(child.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = pytester.runpytest_subprocess("-n", "1", "-p", "no:cacheprovider", timeout=60)
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running*test_worker_dies*"])
    result.assert_outcomes(failed=1)
    assert (pytester.path / "child").read_text().isdigit()

"""What a child holds: its own streams, what it was given in one of the ways there are, and nothing else."""

from __future__ import annotations

import os
import signal
import socket
from functools import partial, wraps
from typing import Any

import pytest

from pytest_ipc import open_descriptors, scope
from pytest_ipc.custody.identity import Process


@pytest.fixture
def opened(tmp_path):
    """A file that no scope owns."""
    with open(tmp_path / "file", "w") as file:
        yield file


def held(*_given: object, **_named: object) -> list[int]:
    """In a child: the descriptors it holds besides its own: its streams, the report to its parent, and its ledger."""
    return [fd for fd in open_descriptors() if fd > 2 and not is_its_own(os.readlink(f"/proc/self/fd/{fd}"))]


def is_its_own(target: str) -> bool:
    process = Process.current()
    return "memfd:pytest-ipc-report" in target or os.path.basename(target) == f"{process.pid}-{process.start}.ledger"


def test_a_child_holds_nothing_that_it_was_not_given(fork, opened):
    assert opened.fileno() > 2
    assert fork(held).result() == []


def test_its_streams_are_its_own(fork):
    def life():
        return [os.readlink(f"/proc/self/fd/{fd}").partition(" ")[0] for fd in range(3)]

    assert fork(life).result() == ["/dev/null", "/memfd:pytest-ipc-output", "/memfd:pytest-ipc-output"]


def test_a_child_holds_what_its_scope_owns(fork, pipe):
    first, second = pipe(), pipe()
    second.close_read()
    assert fork(held).result() == sorted([*first.descriptors(), second.write_fd])


def test_the_ends_of_a_fifo_are_given_and_what_is_kept_for_its_end_is_not(fork, fifo):
    made = fifo()
    keeper = os.open(made.path, os.O_RDWR)
    reader = made.open_reader()
    os.close(keeper)
    assert fork(held).result() == [reader.fileno()]


def test_numbers_opened_since_are_given(fork):
    fds = os.pipe()
    try:
        assert fork(held, *fds).result() == sorted(fds)
        assert fork(held, named=fds[0]).result() == [fds[0]]
        assert fork(held, [{"deep": (fds[1],)}]).result() == [fds[1]]
    finally:
        for fd in fds:
            os.close(fd)


def test_numbers_that_were_open_before_are_numbers():
    before = os.open("/dev/null", os.O_RDONLY)
    with scope() as ipc:
        assert ipc.fork(held, before, 0, 1, 2, -1, 10**6, 1 << 70, True).result() == []
        assert ipc.fork.keeping(before)(held).result() == [before]
    os.close(before)


def test_a_number_that_was_closed_and_opened_again_is_new(tmp_path):
    number = os.open("/dev/null", os.O_RDONLY)
    with scope() as ipc:
        os.close(number)
        assert os.open(tmp_path, os.O_RDONLY) == number
        assert ipc.fork(held, number).result() == [number]
    os.close(number)


def test_a_signal_is_no_descriptor(fork):
    fds = [os.dup(0)]
    while fds[-1] < signal.SIGUSR2:
        fds.append(os.dup(0))
    try:
        assert fork(held, signal.SIGUSR1, signal.SIGUSR2, True).result() == []
    finally:
        for fd in fds:
            os.close(fd)


def test_objects_with_a_fileno_are_given_whenever_they_were_opened(opened):
    first, second = socket.socketpair()
    with scope() as ipc, first, second:
        assert ipc.fork(held, opened, first).result() == sorted([opened.fileno(), first.fileno()])
        assert ipc.fork(held, [second]).result() == [second.fileno()]


def test_an_object_whose_fileno_fails_is_an_object(fork, opened):
    class Odd:
        def fileno(self):
            raise OSError("no file")

    opened.close()
    assert fork(held, Odd(), opened, object(), open).result() == []


def test_what_a_function_closes_over_is_given(fork, opened):
    number = os.dup(0)

    def life(default=opened):
        return held(number, default)

    assert fork(life).result() == sorted([number, opened.fileno()])
    os.close(number)


def test_what_a_bound_method_is_bound_to_is_given(fork, opened):
    class Holder:
        def fileno(self):
            return opened.fileno()

        def life(self):
            return held()

    assert fork(Holder().life).result() == [opened.fileno()]
    assert fork(opened.fileno).result() == opened.fileno()


def test_what_a_partial_and_a_wrapper_hold_is_given(fork, opened):
    number = os.dup(0)

    def wrapper(function: Any) -> Any:
        @wraps(function)
        def life(*args):
            return function(*args)

        return life

    assert fork(partial(held, opened, named=number)).result() == sorted([opened.fileno(), number])
    assert fork(wrapper(partial(held, number))).result() == [number]
    os.close(number)


def test_a_variable_that_is_not_bound_yet_is_passed_over(fork):
    def life():
        return held(lambda: later)

    assert fork(life).result() == []
    later = 1
    assert later


def test_keeping_names_more(fork, opened, pipe):
    ends = pipe()
    assert fork.keeping(opened.fileno())(held).result() == sorted([opened.fileno(), *ends.descriptors()])


def test_an_actor_is_not_given_to_another(fork, pipe):
    first = fork(os.read, pipe().read_fd, 1)
    first.wait_blocked("read")

    def life():
        return [os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors()]

    names = fork(life).result()
    assert not [name for name in names if "pidfd" in name]
    assert sum("pytest-ipc-report" in name for name in names) == 1


def test_end_of_file_comes_though_another_child_lives(fork, pipe):
    """A child holds only copies that it was given: one that was made before a pipe keeps no end of it open."""
    hold = pipe()
    other = fork(os.read, hold.read_fd, 1)
    other.wait_blocked("read")
    ends = pipe()
    reader = fork(lambda: (ends.close_write(), ends.read())[1])
    reader.wait_blocked("read")
    ends.close_write()
    assert reader.result() == b""
    assert other.alive


def test_a_live_child_holds_no_pipe_of_an_xdist_worker(pytester):
    """The worker is killed while its child lives; the run must end by itself, for the child holds nothing of the worker's."""
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

"""What a test author writes: five fixtures, no clean-up, no sleep."""

import os
import signal

import pytest
import tally


@pytest.fixture
def keeper(sysv_shm, fifo, pipe, fork):
    commands, news, memory = fifo(), pipe(), sysv_shm().attach().buf
    return commands, news, memory, fork(tally.keep, commands.path, memory, news.write_fd)


def test_lines_are_counted(keeper):
    commands, news, memory, child = keeper
    child.wait_blocked("openat")  # it waits for the other end to be opened
    with commands.open_writer() as lines:
        lines.write(b"one\ntwo\n")
        assert news.reader.read(1) + news.reader.read(1) == b".."
        assert memory[0] == 2
    assert child.result() == 2


def test_a_signal_starts_again(keeper):
    commands, news, _, child = keeper
    with commands.open_writer() as lines:
        lines.write(b"one\n")
        assert news.read(1) == b"."
        child.wait_blocked("read")
        child.signal(signal.SIGUSR1)
        lines.write(b"two\n")
        assert news.read(1) == b"."
    assert child.result() == 1


def test_the_parent_hears_of_its_childs_end(signals, fork):
    died = signals.catch(signal.SIGCHLD)
    child = fork(os.getpid)
    assert child.result() == child.pid
    died.wait()


@pytest.mark.parametrize("size", [1, 4096, 100_000])
def test_any_size(sysv_shm, size):
    assert len(sysv_shm(size).attach().buf) == size

"""futex(2): waiting on a word, waking, timeouts, and shared and private memory."""

from __future__ import annotations

import mmap
import os
import signal
import time
from ctypes import addressof, c_uint32
from errno import EAGAIN, EFAULT, EINTR, EINVAL, ENOSYS, ETIMEDOUT
from select import select
from signal import SIGUSR1
from typing import Any

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    FUTEX_CLOCK_REALTIME,
    FUTEX_PRIVATE_FLAG,
    SA_RESTART,
    Timespec,
    futex_wait,
    futex_wait_bitset,
    futex_waitv,
    futex_wake,
    futex_wake_bitset,
)
from pytest_ipc.kernel.futexes import futex as futex_call

from ..memory import free_range
from ..signal.plain_child import SOON


@clause("futex.wait-other-value-eagain", "futex(2)", "ERRORS", errno=EAGAIN)
@pytest.mark.parametrize("expected", [1, 0, 2**32 - 1])
def test_wait_with_other_value_fails(futex, expected):
    """FUTEX_WAIT fails with EAGAIN at once if the word does not have the expected value."""
    word = futex(7)
    with fails_with(EAGAIN):
        futex_wait(word.address, expected)
    assert word.value == 7


@clause("futex.wait-until-woken", "FUTEX_WAIT(2const)", "DESCRIPTION")
@pytest.mark.parametrize("value", [0, 5, 2**32 - 1])
def test_wait_sleeps_until_woken(futex, fork, value):
    """FUTEX_WAIT sleeps while the word has the expected value, returns 0 when woken by FUTEX_WAKE, and does not
    change the word.
    """
    word = futex(value)
    waiter = fork(futex_wait, word.address, value)
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    assert waiter.result() is None
    assert word.value == value


@clause("futex.wake-nobody", "FUTEX_WAKE(2const)", "DESCRIPTION")
def test_wake_without_waiters(futex):
    """FUTEX_WAKE returns 0 if no thread waits, and has no effect on later waits."""
    word = futex()
    assert futex_wake(word.address, 9) == 0
    with fails_with(ETIMEDOUT):
        futex_wait(word.address, 0, Timespec(0, 1))


@clause("futex.wake-at-most", "FUTEX_WAKE(2const)", "DESCRIPTION")
def test_wake_wakes_at_most_requested_number(futex, fork):
    """FUTEX_WAKE wakes at most the given number of waiters and returns how many it woke."""
    word = futex()
    waiters = [fork(futex_wait, word.address, 0) for _ in range(4)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    assert [futex_wake(word.address, most) for most in (1, 2, 5, 5)] == [1, 2, 1, 0]
    for waiter in waiters:
        waiter.result()


@clause("futex.changed-word-needs-a-wake", "futex(2)", "DESCRIPTION")
def test_store_wakes_no_waiter(futex, fork):
    """A store of another value to the word does not wake its waiters."""
    word = futex()
    waiter = fork(futex_wait, word.address, 0)
    waiter.wait_blocked("futex")
    word.value = 1
    assert fork(int).result() == 0  # another process runs and exits in the meantime
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    waiter.result()


@clause("futex.wait-etimedout", "futex(2)", "ERRORS", errno=ETIMEDOUT)
def test_wait_fails_after_timeout(futex):
    """FUTEX_WAIT fails with ETIMEDOUT if it is not woken before the timeout expires, and not earlier."""
    word, start = futex(), time.monotonic_ns()
    with fails_with(ETIMEDOUT):
        futex_wait(word.address, 0, Timespec(0, 20_000_000))
    assert time.monotonic_ns() - start >= 20_000_000


@clause("futex.invalid-time-einval", "futex(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("time", [Timespec(-1), Timespec(0, -1), Timespec(0, 1_000_000_000)], ids=str)
def test_invalid_timeout_fails(futex, time):
    """FUTEX_WAIT fails with EINVAL for a negative timeout or one with tv_nsec outside 0 to 999,999,999."""
    with fails_with(EINVAL):
        futex_wait(futex().address, 0, time)


@clause("futex.unaligned-einval", "futex(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_unaligned_address_fails(futex, offset):
    """FUTEX_WAIT and FUTEX_WAKE fail with EINVAL if the address is not a multiple of 4."""
    word = futex()
    with fails_with(EINVAL):
        futex_wait(word.address + offset, 0)
    with fails_with(EINVAL):
        futex_wake(word.address + offset)


@clause("futex.efault", "futex(2)", "ERRORS", errno=EFAULT)
def test_unmapped_address_fails(page):
    """FUTEX_WAIT fails with EFAULT for an address that is not mapped."""
    with fails_with(EFAULT):
        futex_wait(free_range(page), 0)


@clause("futex.unknown-operation-enosys", "futex(2)", "ERRORS", errno=ENOSYS)
def test_unknown_operation_fails(futex):
    """futex() fails with ENOSYS for an unknown operation."""
    word = futex()
    assert futex_wake(word.address) == 0
    with fails_with(ENOSYS):
        futex_call(word.address, 99)


@clause("futex.wait-eintr", "futex(2)", "ERRORS", errno=EINTR)
def test_signal_handler_ends_wait(futex, fork, signals):
    """FUTEX_WAIT fails with EINTR when a signal handler without SA_RESTART runs."""
    word = futex()

    def life():
        caught = signals.catch(SIGUSR1)
        with fails_with(EINTR):
            futex_wait(word.address, 0)
        return caught.count

    waiter = fork(life)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    assert waiter.result() == 1
    assert futex_wake(word.address) == 0


@clause("futex.wait-restarts", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_wait_restarts_with_sa_restart(futex, fork, signals, pipe):
    """FUTEX_WAIT continues to wait after a signal handler with SA_RESTART has run."""
    word, wakeup = futex(), pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        signal.set_wakeup_fd(wakeup.write_fd)
        futex_wait(word.address, 0)
        return caught.count

    waiter = fork(life)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], SOON)[0], "the handler did not run"
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    assert waiter.result() == 1


@clause("futex.same-word-at-other-addresses", "futex(2)", "DESCRIPTION")
def test_processes_share_word_at_different_addresses(fork, page):
    """Processes wait on and wake the same word of shared memory, at whatever addresses it is mapped."""
    fd = os.memfd_create("word")
    os.ftruncate(fd, page)
    first, second = mmap.mmap(fd, page), mmap.mmap(fd, page)
    words: Any = [c_uint32.from_buffer(memory) for memory in (first, second)]
    assert addressof(words[0]) != addressof(words[1])
    waiter = fork(futex_wait, addressof(words[0]), 0)
    waiter.wait_blocked("futex")
    assert futex_wake(addressof(words[1])) == 1
    waiter.result()
    words.clear()
    first.close()
    second.close()
    os.close(fd)


@clause("futex.private-stays-in-the-process", "futex(2)", "FUTEX_PRIVATE_FLAG")
def test_private_wait_is_not_woken_by_other_process(futex, fork):
    """A wait with FUTEX_PRIVATE_FLAG is not woken by another process, with or without the flag."""
    word = futex()
    waiter = fork(futex_wait, word.address, 0, flags=FUTEX_PRIVATE_FLAG)
    waiter.wait_blocked("futex")
    assert futex_wake(word.address, 9) == 0
    assert futex_wake(word.address, 9, flags=FUTEX_PRIVATE_FLAG) == 0
    waiter.wait_blocked("futex")


@clause("futex.private-memory-is-not-shared", "futex(2)", "DESCRIPTION")
def test_word_in_private_memory_is_not_shared_with_child(fork):
    """After fork() a word in private memory differs in parent and child: FUTEX_WAKE in one does not wake a waiter in
    the other.
    """
    word = c_uint32(0)
    waiter = fork(futex_wait, addressof(word), 0)
    waiter.wait_blocked("futex")
    assert futex_wake(addressof(word), 9) == 0
    waiter.wait_blocked("futex")


@clause("futex.bitset-selects", "FUTEX_WAKE_BITSET(2const)", "DESCRIPTION")
def test_wake_bitset_selects_waiters(futex, fork):
    """FUTEX_WAKE_BITSET wakes the waiters whose bit mask shares a bit with its own, and no others."""
    word = futex()
    low, high = (fork(futex_wait_bitset, word.address, 0, bits) for bits in (0b0011, 0b1100))
    for waiter in (low, high):
        waiter.wait_blocked("futex")
    assert futex_wake_bitset(word.address, 9, 0b1_0000) == 0
    assert futex_wake_bitset(word.address, 9, 0b0100) == 1
    high.result()
    assert low.alive
    assert futex_wake_bitset(word.address, 9, 0b0110) == 1
    low.result()


@clause("futex.bitset-plain-is-any", "FUTEX_WAKE_BITSET(2const)", "DESCRIPTION")
def test_wait_and_wake_match_any_bit(futex, fork):
    """FUTEX_WAKE wakes waiters of any bit mask, and FUTEX_WAIT is woken by any bit mask."""
    word = futex()
    bits = fork(futex_wait_bitset, word.address, 0, 1)
    bits.wait_blocked("futex")
    assert futex_wake(word.address, 9) == 1
    bits.result()
    plain = fork(futex_wait, word.address, 0)
    plain.wait_blocked("futex")
    assert futex_wake_bitset(word.address, 9, 1 << 31) == 1
    plain.result()


@clause("futex.bitset-zero-einval", "futex(2)", "ERRORS", errno=EINVAL)
def test_empty_bitset_fails(futex):
    """FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET fail with EINVAL for a bit mask of 0."""
    word = futex()
    with fails_with(EINVAL):
        futex_wait_bitset(word.address, 0, 0)
    with fails_with(EINVAL):
        futex_wake_bitset(word.address, 1, 0)


@clause("futex.bitset-absolute-time", "FUTEX_WAIT_BITSET(2const)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, FUTEX_CLOCK_REALTIME], ids=["CLOCK_MONOTONIC", "CLOCK_REALTIME"])
def test_wait_bitset_takes_absolute_timeout(futex, flags):
    """FUTEX_WAIT_BITSET waits until the absolute time of CLOCK_MONOTONIC, or of CLOCK_REALTIME with
    FUTEX_CLOCK_REALTIME, and not less.
    """
    clock = time.CLOCK_REALTIME if flags else time.CLOCK_MONOTONIC
    word, moment = futex(), time.clock_gettime_ns(clock) + 20_000_000
    with fails_with(ETIMEDOUT):
        futex_wait_bitset(word.address, 0, until=Timespec(*divmod(moment, 10**9)), flags=flags)
    assert time.clock_gettime_ns(clock) >= moment
    with fails_with(ETIMEDOUT):
        futex_wait_bitset(word.address, 0, until=Timespec(1), flags=flags)


@clause("futex.waitv-one-of-several", "futex_waitv(2)", "DESCRIPTION", since="5.16")
def test_waitv_waits_on_several_words(futex, fork):
    """futex_waitv() waits on several words and returns the index of a woken one; it fails with EAGAIN if one has
    another value.
    """
    words = [futex(value) for value in (4, 5, 6)]
    waiter = fork(futex_waitv, [(word.address, word.value) for word in words])
    waiter.wait_blocked("futex_waitv")
    assert futex_wake(words[2].address) == 1
    assert waiter.result() == 2
    with fails_with(EAGAIN):
        futex_waitv([(words[0].address, 4), (words[1].address, 4)])

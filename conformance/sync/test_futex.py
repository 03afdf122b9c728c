"""futex(2): waiting on a word, waking, how long, and in whose memory the word may lie."""

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
def test_a_word_that_has_changed_is_not_waited_for(futex, expected):
    """FUTEX_WAIT fails at once when the word is not what the caller expects it to be."""
    word = futex(7)
    with fails_with(EAGAIN):
        futex_wait(word.address, expected)
    assert word.value == 7


@clause("futex.wait-until-woken", "FUTEX_WAIT(2const)", "DESCRIPTION")
@pytest.mark.parametrize("value", [0, 5, 2**32 - 1])
def test_a_waiter_sleeps_until_it_is_woken(futex, fork, value):
    """FUTEX_WAIT sleeps while the word is what was expected, until somebody wakes it, and is 0 then; the word stays what it is."""
    word = futex(value)
    waiter = fork(futex_wait, word.address, value)
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    assert waiter.result() is None
    assert word.value == value


@clause("futex.wake-nobody", "FUTEX_WAKE(2const)", "DESCRIPTION")
def test_nobody_waits(futex):
    """FUTEX_WAKE is 0 where nobody waits, and is not kept for who comes later."""
    word = futex()
    assert futex_wake(word.address, 9) == 0
    with fails_with(ETIMEDOUT):
        futex_wait(word.address, 0, Timespec(0, 1))


@clause("futex.wake-at-most", "FUTEX_WAKE(2const)", "DESCRIPTION")
def test_no_more_are_woken_than_asked_for(futex, fork):
    """FUTEX_WAKE wakes at most as many as it is asked to, and is the number of those whom it woke."""
    word = futex()
    waiters = [fork(futex_wait, word.address, 0) for _ in range(4)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    assert [futex_wake(word.address, most) for most in (1, 2, 5, 5)] == [1, 2, 1, 0]
    for waiter in waiters:
        waiter.result()


@clause("futex.changed-word-needs-a-wake", "futex(2)", "DESCRIPTION")
def test_a_change_of_the_word_wakes_nobody(futex, fork):
    """Storing another value into the word does not wake who waits on it."""
    word = futex()
    waiter = fork(futex_wait, word.address, 0)
    waiter.wait_blocked("futex")
    word.value = 1
    assert fork(int).result() == 0  # others come to their ends in the meantime
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    waiter.result()


@clause("futex.wait-etimedout", "futex(2)", "ERRORS", errno=ETIMEDOUT)
def test_a_waiter_gives_up_when_the_time_is_over(futex):
    """FUTEX_WAIT fails when nobody has woken it within the time, and not before."""
    word, start = futex(), time.monotonic_ns()
    with fails_with(ETIMEDOUT):
        futex_wait(word.address, 0, Timespec(0, 20_000_000))
    assert time.monotonic_ns() - start >= 20_000_000


@clause("futex.invalid-time-einval", "futex(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("time", [Timespec(-1), Timespec(0, -1), Timespec(0, 1_000_000_000)], ids=str)
def test_an_invalid_time_is_refused(futex, time):
    """A time below zero, or with nanoseconds outside 0 to 999,999,999, is refused."""
    with fails_with(EINVAL):
        futex_wait(futex().address, 0, time)


@clause("futex.unaligned-einval", "futex(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_the_word_must_be_aligned(futex, offset):
    """An address that is no multiple of four is refused, to wait and to wake."""
    word = futex()
    with fails_with(EINVAL):
        futex_wait(word.address + offset, 0)
    with fails_with(EINVAL):
        futex_wake(word.address + offset)


@clause("futex.efault", "futex(2)", "ERRORS", errno=EFAULT)
def test_a_word_that_is_not_there_is_refused(page):
    """Waiting on an address that lies in no memory of the process fails."""
    with fails_with(EFAULT):
        futex_wait(free_range(page), 0)


@clause("futex.unknown-operation-enosys", "futex(2)", "ERRORS", errno=ENOSYS)
def test_an_unknown_operation_is_refused(futex):
    """An operation that the kernel does not know fails with ENOSYS, where the others work."""
    word = futex()
    assert futex_wake(word.address) == 0
    with fails_with(ENOSYS):
        futex_call(word.address, 99)


@clause("futex.wait-eintr", "futex(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_a_wait(futex, fork, signals):
    """FUTEX_WAIT fails when a handler has run that was installed without SA_RESTART."""
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
def test_a_wait_goes_on_with_restart(futex, fork, signals, pipe):
    """FUTEX_WAIT goes on when a handler has run that was installed with SA_RESTART."""
    word, told = futex(), pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        signal.set_wakeup_fd(told.write_fd)
        futex_wait(word.address, 0)
        return caught.count

    waiter = fork(life)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    assert select([told.read_fd], [], [], SOON)[0], "the handler did not run"
    waiter.wait_blocked("futex")
    assert futex_wake(word.address) == 1
    assert waiter.result() == 1


@clause("futex.same-word-at-other-addresses", "futex(2)", "DESCRIPTION")
def test_the_word_counts_and_not_its_address(fork, page):
    """Processes meet at a word of memory that they share, wherever each of them has it mapped."""
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
def test_a_private_wait_is_no_other_process_s(futex, fork):
    """Who waits with FUTEX_PRIVATE_FLAG is not woken from another process, with the flag or without."""
    word = futex()
    waiter = fork(futex_wait, word.address, 0, flags=FUTEX_PRIVATE_FLAG)
    waiter.wait_blocked("futex")
    assert futex_wake(word.address, 9) == 0
    assert futex_wake(word.address, 9, flags=FUTEX_PRIVATE_FLAG) == 0
    waiter.wait_blocked("futex")


@clause("futex.private-memory-is-not-shared", "futex(2)", "DESCRIPTION")
def test_private_memory_is_another_word_in_a_child(fork):
    """A word of private memory is another one in a child: neither wakes who waits on the other."""
    word = c_uint32(0)
    waiter = fork(futex_wait, addressof(word), 0)
    waiter.wait_blocked("futex")
    assert futex_wake(addressof(word), 9) == 0
    waiter.wait_blocked("futex")


@clause("futex.bitset-selects", "FUTEX_WAKE_BITSET(2const)", "DESCRIPTION")
def test_a_waker_wakes_those_who_share_a_bit(futex, fork):
    """FUTEX_WAKE_BITSET wakes those whose wait has a bit in common with it, and no others."""
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
def test_plain_waits_and_wakes_have_every_bit(futex, fork):
    """FUTEX_WAKE wakes whatever bits a wait has, and any bit wakes a FUTEX_WAIT."""
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
def test_no_bit_is_refused(futex):
    """A wait or a wake without any bit is refused."""
    word = futex()
    with fails_with(EINVAL):
        futex_wait_bitset(word.address, 0, 0)
    with fails_with(EINVAL):
        futex_wake_bitset(word.address, 1, 0)


@clause("futex.bitset-absolute-time", "FUTEX_WAIT_BITSET(2const)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, FUTEX_CLOCK_REALTIME], ids=["CLOCK_MONOTONIC", "CLOCK_REALTIME"])
def test_a_wait_with_bits_ends_at_a_moment(futex, flags):
    """FUTEX_WAIT_BITSET waits until its clock shows the time, CLOCK_MONOTONIC or with the flag CLOCK_REALTIME, and not less."""
    clock = time.CLOCK_REALTIME if flags else time.CLOCK_MONOTONIC
    word, moment = futex(), time.clock_gettime_ns(clock) + 20_000_000
    with fails_with(ETIMEDOUT):
        futex_wait_bitset(word.address, 0, until=Timespec(*divmod(moment, 10**9)), flags=flags)
    assert time.clock_gettime_ns(clock) >= moment
    with fails_with(ETIMEDOUT):
        futex_wait_bitset(word.address, 0, until=Timespec(1), flags=flags)


@clause("futex.waitv-one-of-several", "futex_waitv(2)", "DESCRIPTION", since="5.16")
def test_several_words_are_waited_for_at_once(futex, fork):
    """futex_waitv(2) waits on several words and is the index of one that was woken; it fails if one is not as expected."""
    words = [futex(value) for value in (4, 5, 6)]
    waiter = fork(futex_waitv, [(word.address, word.value) for word in words])
    waiter.wait_blocked("futex_waitv")
    assert futex_wake(words[2].address) == 1
    assert waiter.result() == 2
    with fails_with(EAGAIN):
        futex_waitv([(words[0].address, 4), (words[1].address, 4)])

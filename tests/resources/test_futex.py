"""Words to wait on: woken, requeued, out of time, in children and after their end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_ipc import Futex


def test_wait_returns_if_the_word_differs():
    with Futex.create(5) as word:
        assert word.wait(4) is False
        with pytest.raises(TimeoutError, match=r"waited 0 s for <Futex at 0x\w+> to be woken while it is 5; it is 5"):
            word.wait(5, timeout=0)
        with pytest.raises(TimeoutError):
            word.wait(5, timeout=0.01)


def test_children_see_the_word_and_are_woken(fork, futex):
    word = futex()
    children = [fork(word.wait, 0, timeout=None) for _ in range(3)]
    for child in children:
        child.wait_blocked("futex")
    word.value = 7
    assert [word.wake(), word.wake(5), word.wake()] == [1, 2, 0]
    assert [child.result() for child in children] == [True] * 3
    assert fork(lambda: word.value).result() == 7


def test_waiters_are_requeued_to_another_word(fork, futex):
    first, second = futex(), futex()
    children = [fork(first.wait, 0) for _ in range(2)]
    for child in children:
        child.wait_blocked("futex")
    assert first.requeue(second, wake=0) == 2
    assert (first.wake(9), second.wake(9)) == (0, 2)
    assert [child.result() for child in children] == [True] * 2


def test_a_signal_does_not_end_a_wait(fork, futex, signals, eventfd):
    word, reported = futex(), eventfd()

    def life():
        signals.catch(10, lambda *_: reported.write())
        return word.wait(0)

    child = fork(life)
    child.wait_blocked("futex")
    child.signal(10)
    reported.read()
    child.wait_blocked("futex")
    assert word.wake() == 1
    assert child.result() is True


@pytest.mark.parametrize(("value", "error"), [(-1, OverflowError), (1 << 32, OverflowError), ("0", TypeError)])
def test_value_beyond_32_bits_is_rejected(value, error):
    with pytest.raises(error):
        Futex.create(value)
    with Futex.create(3) as word:
        with pytest.raises(error):
            word.value = value
        assert word.value == 3


def test_a_closed_one_is_refused():
    word = Futex.create()
    word.close()
    word.close()
    assert repr(word) == "<Futex>"
    uses: list[Callable[[], object]] = [word.wake, lambda: word.wait(0), lambda: word.value, lambda: word.address]
    for use in uses:
        with pytest.raises(ValueError, match="<Futex> is closed"):
            use()


def test_a_child_does_not_end_its_parents(fork, futex):
    word = futex(1)
    assert fork(word.close).wait() == 0
    assert word.value == 1

"""Semaphore sets: operations with a deadline, values and waiters, whose they are, which removal was the one."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pytest_ipc import SemaphoreSet, scope, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_NOWAIT,
    IPC_PRIVATE,
    SEM_UNDO,
    Sembuf,
    semctl_rmid,
    semctl_stat,
    semget,
    sysvipc_sem,
)


def test_a_set_lives_as_long_as_its_block():
    with SemaphoreSet.create(3) as semaphores:
        assert (semaphores.exists(), semaphores.count, semaphores.stat().nsems) == (True, 3, 3)
        assert semget(semaphores.key, 0, 0) == semaphores.id
        assert repr(semaphores) == f"<SemaphoreSet id={semaphores.id} key={semaphores.key:#x} count=3>"
    assert not semaphores.exists()


def test_it_begins_with_the_values_asked_for():
    with SemaphoreSet.create(3, values=(1, 0, 32767)) as semaphores, SemaphoreSet.create(2) as plain:
        assert (semaphores.values, plain.values) == ([1, 0, 32767], [0, 0])


def test_attributes_equal_those_of_the_kernel():
    with SemaphoreSet.create(2, mode=0o640) as semaphores:
        semaphores.values = [4, 5]
        semaphores.set_value(6, 1)
        assert (semaphores.values, semaphores.value(), semaphores.value(1)) == ([4, 5 + 1], 4, 6)
        assert (semaphores.waiters(), semaphores.zero_waiters(1), semaphores.last_pid(1)) == (0, 0, os.getpid())
        assert semaphores.stat().perm.mode == 0o640
        semaphores.set_status(mode=0o600)
        assert semaphores.stat().perm.mode == 0o600


def test_several_operations_are_one():
    with SemaphoreSet.create(2, values=[1, 2]) as semaphores:
        semaphores.op(Sembuf(0, -1), (1, 3), (1, -1, SEM_UNDO))
        assert semaphores.values == [0, 4]
        with pytest.raises(BlockingIOError):
            semaphores.op((1, 1), (0, -1, IPC_NOWAIT))
        assert semaphores.values == [0, 4]


def test_timeout_names_the_condition():
    with SemaphoreSet.create(2, values=[0, 1]) as semaphores:
        before = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            semaphores.op((0, -2), (1, 0), timeout=0.05)
        assert time.monotonic() - before >= 0.05
        assert (
            str(caught.value)
            == f"waited 0.05 s for -2 on 0, 0 on 1 to be done in {semaphores!r}; its values are [0, 1]"
        )
        for wait in (semaphores.acquire, lambda **how: semaphores.wait_for_zero(1, **how)):
            with pytest.raises(TimeoutError, match=r"^waited 0 s for "):
                wait(timeout=0)
        assert (semaphores.values, semaphores.waiters()) == ([0, 1], 0)


def test_nowait_is_not_taken_for_the_end_of_the_time():
    with SemaphoreSet.create() as semaphores, pytest.raises(BlockingIOError) as caught:
        semaphores.op((0, -1, IPC_NOWAIT), timeout=60)
    assert not isinstance(caught.value, TimeoutError)


def test_a_handler_does_not_end_the_waiting(fork, signals):
    with SemaphoreSet.create() as semaphores:

        def life():
            caught = signals.catch(signal.SIGUSR1)
            semaphores.acquire(timeout=30)
            return caught.count

        child = fork(life)
        child.wait_blocked("semop")
        for _ in range(3):
            child.signal(signal.SIGUSR1)
            child.wait_blocked("semop")
        semaphores.release()
        assert child.result() >= 1


def test_a_handler_does_not_put_the_time_off(fork, signals):
    """The remaining time counts from the start of the call, not from each signal."""
    with SemaphoreSet.create() as semaphores:

        def life():
            signals.catch(signal.SIGALRM)
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            begun = time.monotonic()
            try:
                semaphores.acquire(timeout=0.2)
            except TimeoutError:
                return time.monotonic() - begun

        assert fork(life).result() >= 0.2


def test_a_removal_ends_the_waiting(fork):
    with SemaphoreSet.create() as semaphores:
        child = fork(semaphores.acquire)
        child.wait_blocked("semop")
        semaphores.remove()
        with pytest.raises(OSError, match="semtimedop") as caught:
            child.result()
        assert caught.value.errno == 43  # EIDRM


def test_a_thread_can_wait():
    with SemaphoreSet.create() as semaphores:
        thread = threading.Thread(target=semaphores.acquire)
        thread.start()
        semaphores.release()
        thread.join(10)
        assert (thread.is_alive(), semaphores.values) == (False, [0])


def test_waiters_are_counted(fork):
    with SemaphoreSet.create(2, values=[0, 1]) as semaphores:
        taker, waiter = fork(semaphores.acquire), fork(semaphores.wait_for_zero, 1)
        taker.wait_blocked("semop")
        waiter.wait_blocked("semop")
        assert (semaphores.waiters(0), semaphores.zero_waiters(1)) == (1, 1)
        semaphores.release()
        semaphores.acquire(1)
        taker.result()
        waiter.result()
        assert semaphores.last_pid(1) == waiter.pid


def test_held_semaphore_is_released_at_the_end_of_the_block():
    with SemaphoreSet.create(values=[1]) as semaphores:

        def fail() -> None:
            with semaphores.held():
                raise ValueError(semaphores.values)

        with pytest.raises(ValueError, match=r"^\[0\]$"):
            fail()
        assert semaphores.values == [1]
        with semaphores.held(), pytest.raises(TimeoutError), semaphores.held(timeout=0):
            pass
        assert semaphores.values == [1]


def test_held_semaphore_is_released_by_the_kernel(fork):
    with SemaphoreSet.create(values=[1]) as semaphores:

        def life():
            with semaphores.held():
                os.kill(os.getpid(), signal.SIGKILL)

        fork(life).wait()
        assert semaphores.values == [1]


def test_undo_is_asked_for(fork):
    with SemaphoreSet.create(2, values=[1, 1]) as semaphores:

        def life():
            semaphores.acquire(0, undo=True)
            semaphores.acquire(1)

        fork(life).result()
        assert semaphores.values == [1, 0]


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ([(0, 1), (-1, 1)], OverflowError),
        ([(0, 1), (65536, 1)], OverflowError),
        ([(0, 1), (0, 32768)], OverflowError),
        ([(0, 1), (0, 1, 1 << 16)], OverflowError),
        ([(0, 1), (0, "1")], TypeError),
        ([(0, 1), (0,)], TypeError),
        ([(0, 1), (0, 1, 0, 0)], TypeError),
        ([(0, 1), 7], TypeError),
        ([(0, 1), (1, 1)], OSError),
        ([(0, 1), (0, 32767)], OSError),
        ([], OSError),
    ],
    ids=str,
)
def test_invalid_operations_do_nothing(operations, error):
    with SemaphoreSet.create() as semaphores:
        with pytest.raises(error):
            semaphores.op(*operations, timeout=0)
        assert (semaphores.values, semaphores.stat().otime) == ([0], 0)


def test_values_count_for_themselves():
    with SemaphoreSet.create(values=[1, 2, 3]) as semaphores:
        assert (semaphores.count, semaphores.values) == (3, [1, 2, 3])
    with pytest.raises(ValueError, match="values must have at least 1 value, not 0"):
        SemaphoreSet.create(values=[])
    with pytest.raises(ValueError, match="expected 2 values, got 3"):
        SemaphoreSet.create(2, values=[1, 2, 3])


def test_a_set_of_unknown_size_is_opened():
    with SemaphoreSet.create(3) as semaphores:
        for flags in (0, IPC_CREAT):
            with SemaphoreSet.create(key=semaphores.key, flags=flags) as found:
                assert (found.id, found.count) == (semaphores.id, 3)


@pytest.mark.parametrize("values", [[1], [1, 2, 3], [1, -1], [1, 65536], [1, "2"], 7], ids=str)
def test_invalid_values_change_nothing(values):
    with SemaphoreSet.create(2, values=[3, 4]) as semaphores:
        with pytest.raises((ValueError, TypeError, OverflowError)):
            semaphores.values = values
        assert semaphores.values == [3, 4]


def test_invalid_semaphore_number_is_rejected():
    with SemaphoreSet.create(2) as semaphores:
        for num in (-1, 2):
            for ask in (semaphores.value, semaphores.waiters, semaphores.zero_waiters, semaphores.last_pid):
                with pytest.raises(OSError, match="semctl: Invalid argument"):
                    ask(num)
            with pytest.raises(OSError, match="semctl: Invalid argument"):
                semaphores.set_value(1, num)
        assert semaphores.values == [0, 0]


def test_only_one_removal_is_the_one():
    with SemaphoreSet.create() as semaphores:
        other = SemaphoreSet.create(key=semaphores.key, flags=0)
        assert [other.remove(), other.remove(), semaphores.remove(), semaphores.remove()] == [True, False, False, False]
        assert not semaphores.exists()


def test_foreign_removal_is_harmless():
    with SemaphoreSet.create() as semaphores:
        semctl_rmid(semaphores.id)
        assert not semaphores.remove()


@pytest.mark.parametrize("flags", [0, IPC_CREAT])
def test_a_set_that_was_found_is_not_touched(flags):
    with SemaphoreSet.create(3, values=[1, 2, 3]) as theirs:
        with SemaphoreSet.create(2, key=theirs.key, flags=flags, values=[7, 7]) as found:
            assert (found.id, found.count, found.values) == (theirs.id, 3, [1, 2, 3])
        assert theirs.exists()


def test_creat_without_excl_owns_a_new_object():
    with SemaphoreSet.create(key=unused_key(), flags=IPC_CREAT, values=[2]) as semaphores:
        assert semaphores.values == [2]
    assert not semaphores.exists()


def test_a_private_set_is_removed_too():
    with SemaphoreSet.create(2, key=IPC_PRIVATE, flags=0, mode=0o640) as semaphores:
        perm = semaphores.stat().perm
        assert (semaphores.key, perm.key, perm.mode) == (0, 0, 0o640)
    assert not semaphores.exists()


def test_values_rejected_by_the_kernel_leak_nothing():
    key = unused_key()
    with pytest.raises(OSError, match="semctl"):
        SemaphoreSet.create(2, key=key, values=[0, 40_000])
    with pytest.raises(FileNotFoundError):
        semget(key, 0, 0)


def test_a_child_that_inherits_it_leaves_it(fork):
    with scope() as ipc:
        semaphores = ipc.sysv_sem()

        def life():
            semaphores.close()
            semaphores.release()
            return semaphores.closed

        assert fork(life).result() is False
        assert semaphores.values == [1]


def test_foreign_set_is_kept_and_its_removal_explained(fork):
    try:
        fork(os.setresuid, 65533, 65533, 65533).result()
    except PermissionError as error:
        pytest.skip(f"needs a second user: setresuid: {error.strerror}")

    def life():
        semaphores = SemaphoreSet.create()
        print(semaphores.id, flush=True)
        os.setresuid(65533, 65533, 65533)
        try:
            semaphores.remove()
        except PermissionError as error:
            note = error.__notes__[0]
        os._exit(0 if f"ipcrm -s {semaphores.id}" in note else 1)

    child = fork(life)
    try:
        assert child.wait() == 0
    finally:
        semid = int(child.output)
        if semid in {row.semid for row in sysvipc_sem() or ()}:
            semctl_rmid(semid)
    with pytest.raises(OSError, match="semctl"):
        semctl_stat(semid)

"""Calls on semaphores: a round trip, values beyond their C type, EINTR, and union semun."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from errno import EAGAIN, EINTR, EINVAL

import pytest

from pytest_ipc import fails_with
from pytest_ipc import kernel as ipc
from pytest_ipc.kernel import abi


@pytest.fixture
def semid():
    made = ipc.semget(ipc.IPC_PRIVATE, 3, 0o640)
    yield made
    ipc.semctl_rmid(made)
    with fails_with(EINVAL):
        ipc.semctl_stat(made)


def at_index(index: int) -> ipc.SemidDs | None:
    try:
        return ipc.semctl_stat(index, ipc.SEM_STAT_ANY)
    except OSError:
        return None


def test_set_is_created_changed_and_removed(semid):
    ipc.semctl_setall(semid, [1, 2, 3])
    ipc.semop(semid, [(0, -1), ipc.Sembuf(1, 5, ipc.SEM_UNDO), ipc.Sembuf(1, -5, ipc.SEM_UNDO)])
    ipc.semtimedop(semid, [(0, 0)], 10)
    ipc.semctl_setval(semid, 2, 32767)
    assert ipc.semctl_getall(semid) == [ipc.semctl(semid, num, ipc.GETVAL) for num in range(3)] == [0, 2, 32767]
    assert [ipc.semctl(semid, 0, cmd) for cmd in (ipc.GETPID, ipc.GETNCNT, ipc.GETZCNT)] == [os.getpid(), 0, 0]
    ipc.semctl_set(semid, mode=0o600)
    ds = ipc.semctl_stat(semid)
    assert (ds.id, ds.nsems, ds.perm.mode, ds.otime > 0) == (semid, 3, 0o600, True)
    info, limits = ipc.semctl_info(), ipc.semctl_limits()
    assert (info.semusz > 0, info.semaem >= 3, limits.semvmx) == (True, True, ipc.SEMVMX)
    every = [found for index in range(info.highest + 1) if (found := at_index(index))]
    assert [found for found in every if found.id == semid] == [ds]


def test_sysvipc_sem_agrees_with_semctl(semid):
    ds, rows = ipc.semctl_stat(semid), ipc.sysvipc_sem()
    if rows is None:
        pytest.skip("there is no /proc/sysvipc/sem here")
    (row,) = (row for row in rows if row.semid == semid)
    assert (row.key, row.perms, row.nsems, row.otime, row.ctime) == (0, 0o640, 3, 0, ds.ctime)
    assert (row.uid, row.gid, row.cuid, row.cgid) == (ds.perm.uid, ds.perm.gid, ds.perm.cuid, ds.perm.cgid)


def test_limit_fields_reads_all_numbers():
    found = ipc.limit_fields("kernel/sem")
    if found is None:
        pytest.skip("there is no /proc/sys/kernel/sem here")
    limits = ipc.semctl_limits()
    assert found == [limits.semmsl, limits.semmns, limits.semopm, limits.semmni]
    assert (ipc.limit("kernel/sem"), ipc.limit_fields("kernel/no_such_limit")) == (limits.semmsl, None)


def test_semop_takes_an_address_and_a_count(semid):
    array = (abi.sembuf * 2)(abi.sembuf(0, 1, 0), abi.sembuf(1, 2, 0))
    ipc.semop(semid, ctypes.addressof(array), 2)
    ipc.semtimedop(semid, ctypes.addressof(array), 1, 1)
    assert ipc.semctl_getall(semid) == [2, 2, 0]
    with pytest.raises(TypeError, match="nsops must be given with an address"):
        ipc.semop(semid, ctypes.addressof(array))


def test_semctl_set_of_all_values_needs_no_read_permission(semid):
    ipc.semctl_set(semid, uid=os.geteuid(), gid=os.getegid(), mode=0)
    ipc.semctl_set(semid, uid=os.geteuid(), gid=os.getegid(), mode=0o600)
    assert ipc.semctl_stat(semid).perm.mode == 0o600


@pytest.mark.parametrize("timeout", [0, 0.01, 0.9999999999])
def test_semtimedop_fails_with_eagain_after_the_timeout(semid, timeout):
    with fails_with(EAGAIN):
        ipc.semtimedop(semid, [(0, -1)], timeout)


REFUSED: dict[str, tuple[Callable[[int], object], type[Exception]]] = {
    "a key": (lambda _semid: ipc.semget(1 << 31, 1, 0), OverflowError),
    "a number of semaphores": (lambda _semid: ipc.semget(1, 1 << 31, 0), OverflowError),
    "a key of text": (lambda _semid: ipc.semget("1", 1, 0), TypeError),  # type: ignore[arg-type]
    "a number too large": (lambda semid: ipc.semop(semid, [(1 << 16, 1)]), OverflowError),
    "a number below 0": (lambda semid: ipc.semop(semid, [(-1, 1)]), OverflowError),
    "an amount": (lambda semid: ipc.semop(semid, [(0, 1 << 15)]), OverflowError),
    "flags": (lambda semid: ipc.semop(semid, [(0, 1, 1 << 15)]), OverflowError),
    "half an amount": (lambda semid: ipc.semop(semid, [(0, 0.5)]), TypeError),  # type: ignore[list-item]
    "an address": (lambda semid: ipc.semop(semid, -1, 1), OverflowError),
    "a count": (lambda semid: ipc.semop(semid, [(0, 1)], -1), OverflowError),
    "a count beyond the array": (lambda semid: ipc.semop(semid, [(0, 1)], 2), ValueError),
    "no time": (lambda semid: ipc.semtimedop(semid, [(0, 1)], float("nan")), ValueError),
    "a value": (lambda semid: ipc.semctl_setval(semid, 0, 1 << 31), OverflowError),
    "too few values": (lambda semid: ipc.semctl_setall(semid, [1]), ValueError),
    "one of the values": (lambda semid: ipc.semctl_setall(semid, [1, 2, 65536]), OverflowError),
    "a user": (lambda semid: ipc.semctl_set(semid, uid=-1), OverflowError),
    "a mode": (lambda semid: ipc.semctl_set(semid, mode=1 << 16), OverflowError),
    "a number asked for": (lambda semid: ipc.semctl(semid, 1 << 31, ipc.GETVAL), OverflowError),
    "an argument": (lambda semid: ipc.semctl(semid, 0, ipc.GETALL, -1), OverflowError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_value_beyond_the_c_type_raises_overflow_error(semid, what):
    call, error = REFUSED[what]
    before = ipc.semctl_stat(semid)
    with pytest.raises(error):
        call(semid)
    assert (ipc.semctl_stat(semid), ipc.semctl_getall(semid)) == (before, [0, 0, 0])


@pytest.mark.parametrize("timeout", [None, 3600])
def test_interrupted_semop_fails_with_eintr(semid, fork, signals, timeout):
    def life():
        signals.catch(signal.SIGUSR1)
        with fails_with(EINTR):
            ipc.semtimedop(semid, [(0, -1)], timeout)

    child = fork(life)
    child.wait_blocked("semtimedop")
    child.signal(signal.SIGUSR1)
    child.result()


def test_semun_places_val_at_the_start_of_the_union(monkeypatch):
    assert abi.semun(5) == (5 if sys.byteorder == "little" or not abi.WIDE else 5 << 32)
    monkeypatch.setattr(sys, "byteorder", "big")
    monkeypatch.setattr(abi.signal, "WIDE", True)
    assert (abi.semun(5), abi.semun(-1)) == (5 << 32, 0xFFFF_FFFF << 32)


@pytest.mark.skipif(not abi.WIDE, reason="64-bit layouts need this process's long to be one")
@pytest.mark.parametrize(
    ("machine", "size", "ctime", "nsems"),
    [
        ("x86_64", 104, 64, 80),
        ("aarch64", 88, 56, 64),
        ("riscv64", 88, 56, 64),
        ("loongarch64", 88, 56, 64),
        ("ppc64le", 88, 56, 64),
        ("s390x", 88, 56, 64),
    ],
)
def test_64_bit_layouts_have_the_sizes_of_the_kernel_headers(on_machine, machine, size, ctime, nsems):
    on_machine(machine)
    ds = abi.semid_ds()
    offsets = [getattr(ds, name).offset for name in ("otime", "ctime", "nsems")]
    assert (ctypes.sizeof(ds), offsets) == (size, [48, ctime, nsems])


def test_unknown_machine_raises_not_implemented_error(on_machine):
    on_machine("vax")
    with pytest.raises(NotImplementedError, match=r"^layout unknown for struct semid_ds on vax$"):
        ipc.semctl_stat(0)

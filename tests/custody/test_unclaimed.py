"""Semaphore sets, whose creator the kernel does not keep: proven by other attributes, or kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from pytest_ipc import SemaphoreSet, scope, unused_key
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import IPC_PRIVATE, IPC_SET, proc, sem, semctl_rmid, semctl_set, semctl_stat, semget, semop
from pytest_ipc.resources.sysv import unusual_mode

from .forging import about_set, forge, made, one_line

USUAL = (0, 0o400, 0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o700, 0o750, 0o755, 0o770, 0o775, 0o777, 0o622, 0o222)


@pytest.fixture
def left() -> Iterator[dict[str, int]]:
    """A set such as a process leaves that is killed between the call and its record: its id, its mode, its key."""
    ids = []
    for key in (IPC_PRIVATE, unused_key()):
        mode = unusual_mode() if key == IPC_PRIVATE else 0o600
        ids.append(semget(key, 7, 0o3000 | mode))
    yield {
        "private": ids[0],
        "mode": semctl_stat(ids[0]).perm.mode,
        "keyed": ids[1],
        "key": semctl_stat(ids[1]).perm.key,
    }
    for semid in filter(exists, ids):
        semctl_rmid(semid)


def exists(semid: int) -> bool:
    try:
        semctl_stat(semid)
    except OSError:
        return False
    return True


NOW = time.time


@pytest.mark.parametrize("shown", [True, False], ids=["in /proc", "by index"])
def test_a_private_set_is_found_by_its_mode(state_dir, left, monkeypatch, shown):
    if not shown:
        monkeypatch.setattr(proc, "sysvipc_sem", lambda: None)
    forge(state_dir, about_set(key=0, nsems=7, mode=left["mode"], at=NOW() - 1))
    (line,) = sweep().removed
    assert line.startswith("System V semaphore set (key 0x0, 7 semaphores), made in process ")
    assert (exists(left["private"]), exists(left["keyed"])) == (False, True)


def test_a_set_with_a_key_is_found_by_it(state_dir, left):
    forge(state_dir, about_set(key=left["key"], nsems=7, at=NOW() - 1))
    assert len(sweep().removed) == 1
    assert (exists(left["private"]), exists(left["keyed"])) == (True, False)


@pytest.mark.parametrize(
    "change", [{"mode": 0o123}, {"nsems": 8}, {"uid": 65533}, {"at": NOW() + 3600}], ids=["mode", "nsems", "uid", "at"]
)
def test_a_private_set_that_differs_is_not_it(state_dir, left, change):
    forge(state_dir, about_set(**{"key": 0, "nsems": 7, "mode": left["mode"], "at": NOW() - 1} | change))
    done = sweep()
    assert (done.removed, done.left, done.refused) == ([], [], [])
    assert exists(left["private"])


def test_used_private_set_is_kept(state_dir, left):
    if os.geteuid() != 0 and not left["mode"] & 0o200:
        semctl_set(left["private"], uid=os.geteuid(), gid=os.getegid(), mode=left["mode"] | 0o200)
    semop(left["private"], [(0, 1)])
    forge(state_dir, about_set(key=0, nsems=7, mode=semctl_stat(left["private"]).perm.mode, at=NOW() - 1))
    assert sweep().removed == []
    assert exists(left["private"])


def test_two_candidates_are_both_kept(state_dir, left):
    other = semget(IPC_PRIVATE, 7, left["mode"])
    try:
        forge(state_dir, about_set(key=0, nsems=7, mode=left["mode"], at=NOW() - 1))
        assert f": 2 objects fit its record, one of them with id {left['private']}" in one_line(sweep())
        assert exists(left["private"])
        assert exists(other)
    finally:
        semctl_rmid(other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": 0o640}, "its mode is 0o600, not 0o640"),
        ({"nsems": 8}, "its number of semaphores is 7, not 8"),
        ({"uid": 65533}, f"its creating user is {os.geteuid()}, not 65533"),
        ({"at": NOW() + 3600}, "it is older than the record"),
    ],
)
def test_a_set_that_another_has_under_the_key_stays(state_dir, left, change, sentence):
    forge(state_dir, about_set(**{"key": left["key"], "nsems": 7, "at": NOW() - 1} | change))
    assert sentence in one_line(sweep())
    assert exists(left["keyed"])


def test_set_in_use_with_the_key_is_kept(state_dir, left):
    semop(left["keyed"], [(0, 1)])
    forge(state_dir, about_set(key=left["key"], nsems=7, at=NOW() - 1))
    assert "it is in use, and its creator is unknown" in one_line(sweep())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nsems": 8}, "its number of semaphores is 7, not 8"),
        ({"uid": 65533}, f"its creating user is {os.geteuid()}, not 65533"),
        ({"key": 0x1111}, "its key is"),
        ({"key": 0}, "its key is"),
        ({"at": NOW() + 3600}, "it is older than the record"),
    ],
)
def test_a_recycled_id_is_another_set(state_dir, left, change, sentence):
    forge(state_dir, about_set(**{"key": left["key"], "nsems": 7, "at": NOW() - 1} | change), made(id=left["keyed"]))
    assert sentence in one_line(sweep())
    assert exists(left["keyed"])


def test_the_id_proves_it_though_it_is_used_and_changed(state_dir, left):
    semop(left["keyed"], [(0, 1)])
    semctl_set(left["keyed"], uid=os.geteuid(), gid=os.getegid(), mode=0)
    forge(state_dir, about_set(key=left["key"], nsems=7, at=NOW() - 1), made(id=left["keyed"]))
    assert len(sweep().removed) == 1
    assert not exists(left["keyed"])


def test_the_next_one_under_the_key_is_not_taken_for_it(state_dir, left):
    """Removed by the test and created again by another process: the recorded id is another set's."""
    semctl_rmid(left["keyed"])
    with SemaphoreSet.create(7, key=left["key"]) as other:
        forge(state_dir, about_set(key=left["key"], nsems=7, at=NOW() - 1), made(id=left["keyed"]))
        done = sweep()
        assert (done.removed, done.left, other.exists()) == ([], [], True)


def test_another_users_set_stays(state_dir, fork):
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")

    def life():
        os.setresuid(65534, 65534, 65534)
        return semget(IPC_PRIVATE, 7, 0o135)

    semid = fork(life).result()
    try:
        forge(state_dir, about_set(key=0, nsems=7, mode=0o135, at=NOW() - 1))
        assert sweep().removed == []
        forge(state_dir, about_set(key=0, nsems=7, mode=0o135, at=NOW() - 1), made(id=semid))
        assert "its creating user is 65534, not 0" in one_line(sweep())
        assert exists(semid)
    finally:
        semctl_rmid(semid)


def test_random_mode_is_unusual():
    drawn = {unusual_mode() for _ in range(3000)}
    assert len(drawn) > 100
    assert drawn.isdisjoint(USUAL)
    assert max(drawn) <= 0o777


def test_requested_mode_is_set():
    with scope() as ipc:
        assert [ipc.sysv_sem(key=0, mode=mode).stat().perm.mode for mode in (0o600, 0o640, 0o717)] == [
            0o600,
            0o640,
            0o717,
        ]


def test_failed_change_of_mode_leaks_nothing(monkeypatch):
    """If the second call fails, the set of the first has no owner."""
    given, calls = [], []
    get, control = sem._semget, sem._semctl

    def getting(*arguments):
        given.append(get(*arguments))
        return given[-1]

    def refusing(semid, semnum, cmd, arg):
        calls.append(cmd)
        if cmd == IPC_SET:
            raise PermissionError(1, "semctl: Operation not permitted")
        return control(semid, semnum, cmd, arg)

    monkeypatch.setattr(sem, "_semget", getting)
    monkeypatch.setattr(sem, "_semctl", refusing)
    with pytest.raises(PermissionError):
        SemaphoreSet.create(key=0)
    monkeypatch.undo()
    assert (len(given), exists(given[0])) == (1, False)

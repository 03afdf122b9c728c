"""Which objects are orphans: unused, and their creator and last users ended.

Everything else is kept, with the reason.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ipc.audit.inventory import SHM_DIRECTORY, IpcObject, inventory
from pytest_ipc.audit.orphans import Judged, judge, remove
from pytest_ipc.audit.users import Users, find_users, is_alive
from pytest_ipc.custody.status import owners
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_PRIVATE,
    SETVAL,
    msgctl_rmid,
    msgget,
    msgsnd,
    semctl,
    semctl_rmid,
    semget,
    semop,
    shmat,
    shmctl_rmid,
    shmctl_set,
    shmget,
)


@pytest.fixture(autouse=True)
def _same_namespaces() -> None:
    if find_users().outside:
        pytest.skip("the IPC namespace is shared with processes outside this PID namespace: nothing is an orphan")


@pytest.fixture
def created() -> Iterator[Callable[[Callable[[], int], Callable[[int], object]], int]]:
    """Create an object outside custody, and remove it after the test: created(create, remove) -> its id."""
    made: list[tuple[int, Callable[[int], object]]] = []

    def create(make: Callable[[], int], remove: Callable[[int], object]) -> int:
        id = make()
        made.append((id, remove))
        return id

    yield create
    for id, rmid in made:
        try:
            rmid(id)
        except OSError:
            continue  # the test has removed it


def judged(kind: str, id: int, **options: float) -> Judged:
    users = find_users()
    objects, _ = inventory(users)
    (found,) = [each for each in objects if (each.kind, each.id) == (kind, id)]
    (result,) = judge([found], users, owners(), **options)
    return result


def named(name: str) -> Judged:
    users = replace(find_users(), hidden=Counter())
    (found,) = [each for each in inventory(users)[0] if each.name == name]
    (result,) = judge([found], users, owners())
    return result


def segment() -> int:
    return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o600)


def test_a_segment_of_an_ended_process_is_an_orphan(fork, created):
    child = fork(segment)
    id = created(child.result, shmctl_rmid)
    found = judged("sysv-shm", id)
    assert found.orphan
    assert found.why == f"process {child.pid} created or used it last and ended"
    assert remove(found.object) is None
    with pytest.raises(OSError, match=r"EINVAL|Invalid"):
        shmctl_rmid(id)


def test_a_segment_of_a_living_process_is_kept(created):
    found = judged("sysv-shm", created(segment, shmctl_rmid))
    assert not found.orphan
    assert f"process {os.getpid()} (" in found.why


def test_an_attached_segment_is_kept_and_its_user_named(fork, created):
    id = created(fork(segment).result, shmctl_rmid)

    def attach() -> None:
        shmat(id)
        signal.pause()

    child = fork(attach)
    child.wait_blocked("pause")
    found = judged("sysv-shm", id)
    assert not found.orphan
    assert found.why.startswith(f"in use by process {child.pid} (")
    assert remove(found.object) == "it was attached meanwhile"


def test_recent_use_is_kept_for_the_age_asked_for(fork, created):
    id = created(fork(segment).result, shmctl_rmid)
    found = judged("sysv-shm", id, older_than=3600)
    assert not found.orphan
    assert found.why.startswith("used ")


def test_a_semaphore_set_is_judged_by_its_last_users(fork, created):
    def use(id: int) -> None:
        semctl(id, 0, SETVAL, 1)

    id = created(lambda: semget(IPC_PRIVATE, 2, IPC_CREAT | 0o600), semctl_rmid)
    assert judged("sysv-sem", id).why == "the kernel does not record who created or used it"
    child = fork(use, id)
    child.result()
    found = judged("sysv-sem", id)
    assert found.orphan
    assert str(child.pid) in found.why
    semop(id, [(0, -1)])
    assert not judged("sysv-sem", id).orphan


def test_a_semaphore_set_with_a_waiting_process_is_kept(fork, created):
    id = created(lambda: semget(IPC_PRIVATE, 1, IPC_CREAT | 0o600), semctl_rmid)
    waiter = fork(semop, id, [(0, -1)])
    waiter.wait_blocked("semop")
    assert judged("sysv-sem", id).why == "in use by processes that are not visible here"


def test_a_message_queue_is_judged_by_its_last_users(fork, created):
    id = created(lambda: msgget(IPC_PRIVATE, IPC_CREAT | 0o600), msgctl_rmid)
    assert not judged("sysv-msg", id).orphan
    fork(msgsnd, id, 1, b"x").result()
    found = judged("sysv-msg", id)
    assert found.orphan
    assert remove(found.object) is None


def test_an_object_on_record_is_kept(sysv_shm, posix_shm, posix_sem):
    assert judged("sysv-shm", sysv_shm().id).why == f"on record: process {os.getpid()}"
    assert named(posix_shm().name[1:]).why == f"on record: process {os.getpid()}"
    assert named(f"sem.{posix_sem().name[1:]}").why == f"on record: process {os.getpid()}"


@pytest.fixture
def path() -> Iterator[Path]:
    """Yield a file in /dev/shm that no fixture made."""
    path = Path(SHM_DIRECTORY, f"orphan-{os.getpid()}-{time.monotonic_ns()}")
    path.write_bytes(b"x" * 100)
    path.chmod(0o600)
    yield path
    path.unlink(missing_ok=True)


def test_an_unused_file_of_shared_memory_is_an_orphan(path):
    found = named(path.name)
    assert found.orphan
    assert found.why == "no process has it mapped or open"
    assert remove(found.object) is None
    assert not path.exists()


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_a_used_file_of_shared_memory_is_kept(fork, path, how):
    def use() -> None:
        import mmap

        fd = os.open(path, os.O_RDWR)
        mapping = mmap.mmap(fd, 100)
        if how == "mapped":
            os.close(fd)
        else:
            mapping.close()
        signal.pause()

    child = fork(use)
    child.wait_blocked("pause")
    found = named(path.name)
    assert found.why.startswith(f"in use by process {child.pid} (")
    assert remove(found.object) == "it was opened meanwhile"


def test_another_object_of_the_same_name_is_not_removed(path):
    found = named(path.name)
    path.unlink()
    path.write_bytes(b"other")
    assert remove(replace(found.object, identity=(0, 0))) == "another object has its name by now"
    assert path.exists()


def test_a_changed_segment_is_not_removed(fork, created):
    id = created(fork(segment).result, shmctl_rmid)
    found = judged("sysv-shm", id)
    shmctl_set(id, mode=0o400)
    older = replace(found.object, identity=(id, found.object.identity[1] - 5))
    assert remove(older) == "it was changed meanwhile"


def private(uid: int, mode: int) -> IpcObject:
    return IpcObject("posix-shm", "label", 1, uid, mode, 0.0, None, frozenset(), frozenset(), (1, 2), "name")


@pytest.mark.parametrize(
    ("mode", "hidden", "orphan"),
    [(0o600, {0: 3}, True), (0o600, {1000: 1}, False), (0o666, {0: 3}, False), (0o600, {}, True)],
)
def test_process_with_unreadable_files_may_use_objects_its_user_can_open(mode, hidden, orphan):
    (found,) = judge([private(1000, mode)], Users(hidden=Counter(hidden)))
    assert found.orphan is orphan
    if not orphan:
        assert found.why.endswith("whose files are not readable may have it open")


def test_objects_shared_with_other_pid_namespaces_are_no_orphans():
    (found,) = judge([private(1000, 0o600)], Users(outside=True))
    assert found.why == "processes outside this PID namespace, which are not visible here, may use it"


def test_a_process_that_started_later_has_only_inherited_the_number(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    assert is_alive(child.pid, time.time())
    assert not is_alive(child.pid, time.time() - 3600)
    child.close()
    assert not is_alive(child.pid, time.time())

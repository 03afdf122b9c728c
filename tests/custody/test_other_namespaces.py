"""Objects in another namespace or of another user are kept, or removed if permitted."""

from __future__ import annotations

import os
import shutil
import signal
from types import SimpleNamespace

import pytest

from pytest_ipc import IpcNamespace, scope, unused_key
from pytest_ipc.custody import namespaces, other_namespaces, state_paths
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.namespaces import ipc_identity, process_in
from pytest_ipc.custody.namespaces import ipc_namespace as current_namespace
from pytest_ipc.custody.removal import Swept
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import IPC_CREAT, shmctl_stat, shmget, sysvipc_shm

from .forging import about_segment, forge, made, one_line
from .test_sweep import exists, own_only


@pytest.fixture
def left_inside(state_dir, ipc_namespace):
    """Return the namespace, key and record of a segment that a dead process left in an existing namespace."""
    namespace, key = ipc_namespace(), unused_key()
    namespace.fork(signal.pause).wait_blocked("pause")

    def leave():
        return shmget(key, 4096, IPC_CREAT | 0o600), ipc_identity(), os.geteuid(), Process.current()

    maker = namespace.fork(leave)
    shmid, name, uid, process = maker.result()
    maker.close()
    # A segment of the same key, id or both out here is another one.
    forge(state_dir, about_segment(key=key, ipc=name, uid=uid), made(id=shmid), process=process)
    return namespace, key, name


def is_inside(namespace: IpcNamespace, key: int) -> bool:
    def look():
        try:
            return shmget(key, 0, 0) >= 0
        except FileNotFoundError:
            return False

    return bool(namespace.fork(look).result())


def test_object_in_another_ipc_namespace_is_removed_there(left_inside):
    namespace, key, name = left_inside
    own = current_namespace()
    (line,) = sweep(dry_run=True).removed
    assert name.startswith("ipc:[")
    assert is_inside(namespace, key)
    assert sweep().removed == [line]
    assert not is_inside(namespace, key)
    assert (sweep(), current_namespace()) == (Swept(), own)


def test_object_without_proof_in_another_namespace_is_kept(state_dir, left_inside):
    namespace, key, name = left_inside
    for path in state_dir.glob("*.ledger"):
        path.unlink()
    forge(state_dir, about_segment(key=key, ipc=name))
    assert "its creating process is" in one_line(sweep())
    assert is_inside(namespace, key)


def test_inaccessible_namespace_is_named(left_inside, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    namespace, key, name = left_inside
    with monkeypatch.context() as patch:
        patch.setattr("pytest_ipc.kernel.namespace.setns", refuse)
        line = one_line(sweep())
    assert line.endswith(f"it is in {name}; run `pytest-ipc sweep` there: Operation not permitted")
    assert is_inside(namespace, key)


def test_objects_end_with_their_namespace(left_inside, state_dir):
    left_inside[0].close()
    done = sweep()
    assert (done.removed, done.left, done.refused) == ([], [], [])
    assert not [name for name in os.listdir(state_dir) if name.endswith(".ledger")]


def test_hidden_namespace_is_not_presumed_ended(state_dir, monkeypatch):
    """In a user namespace of its own a process is not shown where its user's other processes are."""
    name = "ipc:[1]#1"
    assert process_in(name) is None
    forge(state_dir, about_segment(ipc=name))

    def refuse(path):
        if path == f"/proc/{os.getpid()}/ns/ipc":
            raise PermissionError(13, "Permission denied")
        return os.readlink(path)

    monkeypatch.setattr(namespaces, "os", SimpleNamespace(**{**vars(os), "readlink": refuse}))
    assert sweep(dry_run=True).left == []
    monkeypatch.setattr(namespaces, "_is_in_a_user_namespace", lambda: True)
    assert "whether it still exists cannot be determined here" in one_line(sweep())
    with pytest.raises(OSError, match="cannot be determined here"):
        process_in(name)
    # Only processes of its own run can have entered a namespace on a reaper's record, and it sees those.
    assert process_in(name, below=True) is None


def test_child_that_died_in_a_namespace_leaks_nothing(ipc_namespace):
    namespace, key = ipc_namespace(), unused_key()
    namespace.fork(signal.pause).wait_blocked("pause")

    def life():
        with scope() as ipc:
            ipc.sysv_shm(key=key)
            signal.pause()

    child = namespace.fork(life)
    child.wait_blocked("pause")
    assert is_inside(namespace, key)
    child.close()
    assert not is_inside(namespace, key)


@pytest.mark.usefixtures("left_inside")
def test_missing_answer_from_a_namespace_is_an_error(monkeypatch):
    monkeypatch.setattr(other_namespaces, "_go_and_do", lambda *_arguments: os._exit(0))
    assert "a child ended without a result" in one_line(sweep())


@pytest.mark.usefixtures("left_inside")
def test_helper_that_hangs_in_a_namespace_is_killed(monkeypatch):
    monkeypatch.setattr(other_namespaces, "PATIENCE", 0.05)
    monkeypatch.setattr(other_namespaces, "_go_and_do", lambda *_arguments: signal.pause())
    assert "waited 0.05 s for the result of a child" in one_line(sweep())


def test_child_that_became_another_user_leaks_nothing(state_dir, fork):
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")

    def life(end):
        os.setresuid(65534, 65534, 65534)
        with scope() as ipc:
            segment = ipc.sysv_shm()
            print(segment.id, flush=True)
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
        return end

    returned, killed = fork(life, "returned"), fork(life, "killed")
    assert returned.result() == "returned"
    killed.wait()
    shmid = int(killed.output)
    assert shmctl_stat(shmid).perm.cuid == 65534
    for child in (returned, killed):
        child.close()
    assert not exists(shmid)
    assert [name for name in os.listdir(state_dir) if name.endswith("ledger")] == own_only()


def test_segment_unreadable_for_its_owner_is_removed(state_dir, fork):
    """Mode 0 denies reading to unprivileged users, but not the removal."""

    def life(key):
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)

        def inner():
            print(ipc.sysv_shm(mode=0, key=key).id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        with scope() as ipc:
            state_paths._pinned, state_paths._pinned_owner = str(state_dir.parent / "theirs"), os.geteuid()
            nested = ipc.fork(inner)
            nested.wait()
            shmid = int(nested.output)
            assert shmid in {row.shmid for row in sysvipc_shm() or ()}
            nested.close()
            return shmid in {row.shmid for row in sysvipc_shm() or ()}

    theirs = state_dir.parent
    for folder in theirs.parents:
        if folder.stat().st_uid == os.geteuid() == 0 and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o011)
    theirs.chmod(0o1777)
    assert fork(life, unused_key()).result() is False
    assert fork(life, 0).result() is False
    theirs.chmod(0o700)
    shutil.rmtree(theirs / "theirs")

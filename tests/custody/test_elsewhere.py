"""What is in another namespace, or of another user: left alone, or cleared by whoever may."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

import pytest_ipc.custody.home as home_module
from pytest_ipc import scope, shmctl_stat, shmget, sysvipc_shm, unused_key
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel.namespace import CLONE_NEWIPC, CLONE_NEWUSER, unshare

from .forging import about, about_segment, forge, made
from .test_sweep import exists, own_only


def test_what_is_in_another_ipc_namespace_is_named_while_that_lives_and_gone_with_it(home, fork):
    def life():
        try:
            unshare(CLONE_NEWIPC)
        except PermissionError:
            unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        print(os.readlink("/proc/self/ns/ipc"), shmget(0x1234, 4096, 0o1600), flush=True)
        signal.pause()

    child = fork(life)
    try:
        child.wait_blocked("pause")
    except OSError as error:
        pytest.skip(f"no IPC namespace can be made here: {error}")
    namespace, shmid = child.output.split()
    forge(home, about_segment(key=0x1234, ipc=namespace), made(id=int(shmid)))
    (line,) = sweep().left
    assert f"it is in another IPC namespace, {namespace}; sweep from within" in line
    child.end()
    done = sweep()
    assert (done.removed, done.left) == ([], [])


def test_a_ledger_of_another_pid_namespace_is_not_judged_by_this_ones_numbers(home, monkeypatch):
    """Containers may share a temp folder: to each other their processes are numbers that are not there."""
    directory = home.parent / f"pytest-ipc-{7:016x}"
    directory.mkdir()
    os.mkfifo(directory / "fifo")
    path = forge(
        home, about(1, "fifo", path=str(directory / "fifo"), directory=str(directory)), pids="pid:[4026500000]"
    )
    monkeypatch.setattr("pytest_ipc.custody.reading.pid_namespace_lives", lambda _name: True)
    done = sweep()
    assert (done.removed, done.left, done.refused, path.exists()) == ([], [], [], True)
    monkeypatch.setattr("pytest_ipc.custody.reading.pid_namespace_lives", lambda _name: False)
    assert len(sweep().removed) == 1
    assert not directory.exists()


def test_a_child_that_has_become_another_user_leaves_nothing(home, fork):
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
        child.end()
    assert not exists(shmid)
    assert [name for name in os.listdir(home) if name.endswith("ledger")] == own_only()


def test_a_segment_that_its_own_user_may_not_look_at_goes_too(home, fork):
    """Mode 0 keeps whoever is not root from reading what it is, and not from removing it."""

    def life(key):
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)

        def inner():
            print(ipc.sysv_shm(mode=0, key=key).id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        with scope() as ipc:
            home_module._pinned = home.parent / "theirs"
            nested = ipc.fork(inner)
            nested.wait()
            shmid = int(nested.output)
            assert shmid in {row.shmid for row in sysvipc_shm() or ()}
            nested.end()
            return shmid in {row.shmid for row in sysvipc_shm() or ()}

    theirs = home.parent
    for folder in theirs.parents:
        if folder.stat().st_uid == os.geteuid() == 0 and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o011)
    theirs.chmod(0o777)
    assert fork(life, unused_key()).result() is False
    assert fork(life, 0).result() is False
    theirs.chmod(0o700)
    shutil.rmtree(theirs / "theirs")

"""The suite's own watch: each kind of leak is planted, and found by the kind that it is."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from pytest_ipc import unused_name
from pytest_ipc.kernel import (
    IPC_PRIVATE,
    MAP_SHARED,
    MqAttr,
    mmap,
    mq_close,
    mq_open,
    mq_unlink,
    msgctl_rmid,
    msgget,
    munmap,
    sem_close,
    sem_open,
    sem_unlink,
    semctl_rmid,
    semget,
    shm_open,
    shm_unlink,
    shmctl_rmid,
    shmget,
)

from .leaks import Snapshot, left_since, queues


def test_no_leak_is_found_without_one(temporary_root):
    before = Snapshot.take(temporary_root)
    assert left_since(before, temporary_root) == []


def test_a_segment_is_found(temporary_root):
    before = Snapshot.take(temporary_root)
    shmid = shmget(IPC_PRIVATE, 1, 0o600)
    try:
        found = left_since(before, temporary_root)
    finally:
        shmctl_rmid(shmid)
    assert found == [f"System V segment {shmid} key 0x0"]


def test_shared_memory_is_found(temporary_root):
    before = Snapshot.take(temporary_root)
    name = unused_name()
    os.close(shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    try:
        found = left_since(before, temporary_root)
    finally:
        shm_unlink(name)
    assert found == [f"shared memory {name[1:]} 0 bytes"]


def test_open_semaphore_is_found_without_its_name(temporary_root):
    before = Snapshot.take(temporary_root)
    semaphore = sem_open("/leaked", os.O_CREAT | os.O_EXCL)
    sem_unlink("/leaked")
    try:
        (found,) = left_since(before, temporary_root)
    finally:
        sem_close(semaphore)
    assert found.startswith("semaphore ")
    assert "/dev/shm/sem." in found  # and then the name under which libc has made it


def test_a_queue_is_found_where_the_file_system_of_queues_may_be_mounted(temporary_root):
    before = Snapshot.take(temporary_root)
    name = unused_name()
    mq_close(mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, MqAttr(maxmsg=1, msgsize=1)))
    try:
        found = left_since(before, temporary_root)
        if name[1:] not in queues():
            pytest.skip("needs CAP_SYS_ADMIN")
    finally:
        mq_unlink(name)
    assert found == [f"message queue {name[1:]}"]


def test_a_mapping_is_found(temporary_root, posix_shm):
    shared = posix_shm()
    before = Snapshot.take(temporary_root)
    address = mmap(None, 4096, flags=MAP_SHARED, fd=shared.fd)
    try:
        (found,) = left_since(before, temporary_root)
    finally:
        munmap(address, 4096)
    assert (found.startswith(f"mapping {address:x}-"), found.endswith(f" /dev/shm{shared.name}")) == (True, True)


def test_a_semaphore_set_is_found(temporary_root):
    before = Snapshot.take(temporary_root)
    semid = semget(IPC_PRIVATE, 1, 0o600)
    try:
        found = left_since(before, temporary_root)
    finally:
        semctl_rmid(semid)
    assert found == [f"System V semaphore set {semid} key 0x0"]


def test_a_system_v_message_queue_is_found(temporary_root):
    before = Snapshot.take(temporary_root)
    msqid = msgget(IPC_PRIVATE, 0o600)
    try:
        found = left_since(before, temporary_root)
    finally:
        msgctl_rmid(msqid)
    assert found == [f"System V message queue {msqid} key 0x0"]


def test_a_child_is_found_alive_and_as_a_zombie(temporary_root):
    before = Snapshot.take(temporary_root)
    reader, writer = os.pipe()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "read line"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)])
    os.close(reader)
    alive = left_since(before, temporary_root)
    os.close(writer)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    zombie = left_since(before, temporary_root)
    os.waitpid(pid, 0)
    assert [line.partition(" state ")[0] for line in alive if "child" in line] == [f"child process {pid}"]
    assert zombie == [f"child process {pid} state Z"]


def test_a_descriptor_is_found_also_under_a_number_that_was_in_use(temporary_root, tmp_path):
    first = os.open("/dev/null", os.O_RDONLY)
    before = Snapshot.take(temporary_root)
    os.dup2(second := os.open(tmp_path, os.O_RDONLY), first)
    os.close(second)
    found = left_since(before, temporary_root)
    os.close(first)
    assert found == [f"open descriptor ({first}, '{tmp_path}')"]


def test_a_socket_is_found_by_its_descriptor_and_its_directory(temporary_root):
    before = Snapshot.take(temporary_root)
    folder = Path(tempfile.mkdtemp(prefix="pytest-ipc-"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(folder / "s"))
        found = left_since(before, temporary_root)
    (folder / "s").unlink()
    folder.rmdir()
    assert [line.partition(" (")[0] for line in found] == ["open descriptor", f"temporary directory {folder.name}"]


def test_a_directory_is_found(temporary_root):
    before = Snapshot.take(temporary_root)
    path = Path(tempfile.mkdtemp(prefix="pytest-ipc-"))
    found = left_since(before, temporary_root)
    path.rmdir()
    assert found == [f"temporary directory {path.name}"]


LEAKS = [
    "os.pipe()",
    "os.posix_spawn('/bin/true', ['true'], {})",
    "shmget(0, 1, 0o600)",
    "sets.append(semget(0, 1, 0o600))",
    "queues.append(msgget(0, 0o600))",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_the_fixture_fails_the_test_that_leaks(pytester, monkeypatch, leak):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeconftest("from tests.conftest import leaves_nothing, temporary_root")
    pytester.makepyfile(
        f"""
        import os
        from pytest_ipc.kernel import msgctl_rmid, msgget, semctl_rmid, semget, shmctl_rmid, shmget, sysvipc_shm

        sets, queues = [], []

        def test_leaks():
            {leak}

        def test_does_not():
            for row in sysvipc_shm():
                if row.cpid == os.getpid():
                    shmctl_rmid(row.shmid)
            for semid in sets:
                semctl_rmid(semid)
            for msqid in queues:
                msgctl_rmid(msqid)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*", "the test leaked:"])

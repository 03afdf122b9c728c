"""Foreign objects of every kind, as similar to those of a run as possible, which nothing may touch."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable

from pytest_ipc import unused_key, unused_name
from pytest_ipc.custody.kinds.posix_sem import path_of
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    MqAttr,
    mq_close,
    mq_open,
    mq_send,
    mq_unlink,
    msgctl_rmid,
    msgctl_stat,
    msgget,
    sem_close,
    sem_getvalue,
    sem_open,
    sem_unlink,
    semctl_rmid,
    semctl_stat,
    semget,
    shmctl_rmid,
    shmctl_stat,
    shmget,
)
from pytest_ipc.resources.socket import short_enough

from .remains import Place


def foreign_segment(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Create a private segment of the same size as those of the run: only its creator differs."""
    shmid = shmget(IPC_PRIVATE, place.size, IPC_CREAT | IPC_EXCL | 0o600)
    before = shmctl_stat(shmid)
    return shmid, lambda: shmctl_stat(shmid) == before, lambda: shmctl_rmid(shmid)


def foreign_set(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Create an unused private set of the same size as those of the run: only its mode differs."""
    semid = semget(IPC_PRIVATE, place.nsems, IPC_CREAT | IPC_EXCL | 0o600)
    before = semctl_stat(semid)
    return ("sysv-sem", semid), lambda: semctl_stat(semid) == before, lambda: semctl_rmid(semid)


def foreign_message_queue(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """IPC_PRIVATE, empty, and with the mode of the run's."""
    msqid = msgget(IPC_PRIVATE, place.mode)
    before = msgctl_stat(msqid)
    return ("sysv-msg", msqid), lambda: msgctl_stat(msqid) == before, lambda: msgctl_rmid(msqid)


def foreign_fifo(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Except those of the run itself."""
    path = place.path / "fifos" / "foreign"
    os.mkfifo(path)
    before = os.lstat(path)
    return str(path), lambda: os.lstat(path) == before, path.unlink


def foreign_shared_memory(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Of the size that the run's have."""
    path = f"/dev/shm/foreign-{place.size:x}"
    with open(path, "xb") as file:
        file.truncate(place.size)
    before = os.lstat(path)
    return path, lambda: os.lstat(path) == before, lambda: os.unlink(path)


def foreign_file(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Except those of the run itself."""
    path = place.path / "fifos" / "foreign-file"
    path.write_text("kept")
    before = os.lstat(path)
    return str(path), lambda: os.lstat(path) == before, path.unlink


def foreign_name(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Named as reserved names are, by this process, and of the size that the run's have."""
    path = f"/dev/shm{unused_name()}"
    with open(path, "xb") as file:
        file.truncate(place.size)
    before = os.lstat(path)
    return path, lambda: os.lstat(path) == before, lambda: os.unlink(path)


def foreign_key(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """A segment with a key of the same form."""
    shmid = shmget(unused_key(), place.size, IPC_CREAT | IPC_EXCL | 0o600)
    before = shmctl_stat(shmid)
    return shmid, lambda: shmctl_stat(shmid) == before, lambda: shmctl_rmid(shmid)


def foreign_folder(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """A folder with a mark in it, beside the reserved ones."""
    path = place.path / "fifos" / "foreign-folder"
    path.mkdir()
    (path / "reserved-path").touch()
    return str(path), (path / "reserved-path").exists, lambda: shutil.rmtree(path)


def foreign_lock_file(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Except those of the run itself; also empty."""
    path = place.path / "fifos" / "foreign-lock"
    path.touch()
    before = os.lstat(path)
    return str(path), lambda: os.lstat(path) == before, path.unlink


def foreign_socket(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Except those of the run itself; without a listener."""
    path = place.path / "fifos" / "foreign-socket"
    with socket.socket(socket.AF_UNIX) as server, short_enough(path) as name:
        server.bind(name)
    before = os.lstat(path)
    return str(path), lambda: os.lstat(path) == before, path.unlink


def foreign_semaphore(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Except those of the run itself; with a value that one of them has."""
    name = f"/foreign-{place.size:x}"
    semaphore = sem_open(name, os.O_CREAT | os.O_EXCL, 0o600, 3)
    before = os.lstat(path_of(name))

    def end() -> None:
        sem_close(semaphore)
        sem_unlink(name)

    return name[1:], lambda: os.lstat(path_of(name)) == before and sem_getvalue(semaphore) == 3, end


def foreign_queue(place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Of the size that the run's have."""
    name = f"/foreign-{place.size:x}"
    queue = mq_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, MqAttr(maxmsg=1, msgsize=8))
    mq_send(queue, b"kept")
    before = os.fstat(queue)

    def is_untouched() -> bool:
        again = mq_open(name, os.O_RDONLY)
        found = os.fstat(again) == before
        mq_close(again)
        return found

    def end() -> None:
        mq_close(queue)
        mq_unlink(name)

    return name[1:], is_untouched, end


def foreign_process(_place: Place) -> tuple[object, Callable[[], bool], Callable[[], None]]:
    """Return a process of the same user."""
    process = subprocess.Popen(["sleep", "1000"])

    def end() -> None:
        process.kill()
        process.wait()

    return process.pid, lambda: process.poll() is None, end


# What is not the run's: its name, whether it is untouched, and its end.
FOREIGN = {
    "sysv-shm": foreign_segment,
    "sysv-sem": foreign_set,
    "sysv-msg": foreign_message_queue,
    "posix-shm": foreign_shared_memory,
    "posix-sem": foreign_semaphore,
    "posix-mq": foreign_queue,
    "fifo": foreign_fifo,
    "mapped-file": foreign_file,
    "lock-file": foreign_lock_file,
    "unix-socket": foreign_socket,
    "reserved-name": foreign_name,
    "reserved-key": foreign_key,
    "reserved-path": foreign_folder,
    "process": foreign_process,
}

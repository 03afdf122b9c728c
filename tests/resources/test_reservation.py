"""Names, keys and paths on record before the code under test creates the objects: removed whoever created them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ipc import Fork, scope
from pytest_ipc.kernel import (
    CapabilitySets,
    Deadline,
    MqAttr,
    capset,
    mq_open,
    mq_unlink,
    msgget,
    semget,
    shm_open,
    shmget,
)

NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR
SMALL = MqAttr(maxmsg=1, msgsize=8)  # of the default size, ten reach RLIMIT_MSGQUEUE of all this user's processes


def semaphore_file(name: str) -> None:
    os.close(os.open(f"/dev/shm/sem.{name[1:]}", NEW, 0o600))


BY_NAME: dict[str, Callable[[str], object]] = {
    "shared memory": lambda name: os.close(shm_open(name, NEW)),
    "semaphore": semaphore_file,
    "message queue": lambda name: os.close(mq_open(name, NEW, 0o600, SMALL)),
    "queue that its owner may not open": lambda name: os.close(mq_open(name, NEW, 0, SMALL)),
}
BY_KEY: dict[str, Callable[[int, int], object]] = {
    "segment": lambda key, mode: shmget(key, 100, 0o1000 | mode),
    "semaphore set": lambda key, mode: semget(key, 1, 0o1000 | mode),
    "message queue": lambda key, mode: msgget(key, 0o1000 | mode),
}

GETTERS: tuple[Callable[[int], int], ...] = (
    lambda key: shmget(key, 0, 0),
    lambda key: semget(key, 0, 0),
    lambda key: msgget(key, 0),
)


def exists(name: str) -> bool:
    found = [os.path.exists(f"/dev/shm/{prefix}{name[1:]}") for prefix in ("", "sem.")]
    with suppress(FileNotFoundError):
        os.close(mq_open(name, os.O_RDONLY))
        found.append(True)
    return any(found)


def objects(key: int) -> list[int]:
    found: list[int] = []
    for get in GETTERS:
        with suppress(FileNotFoundError):
            found.append(get(key))
    return found


@pytest.mark.parametrize("what", BY_NAME)
@pytest.mark.parametrize("who", ["test", "child", "grandchild"])
def test_object_of_reserved_name_is_removed_whoever_created_it(what, who):
    make = BY_NAME[what]

    def grandchild(name: str) -> None:
        pid = os.fork()
        if pid == 0:
            make(name)
            os._exit(0)
        os.waitpid(pid, 0)

    with scope() as ipc:
        name = ipc.reserve_name()
        if who == "test":
            make(name)
        else:
            ipc.fork(make if who == "child" else grandchild, name).wait()
        assert exists(name)
    assert not exists(name)


@pytest.mark.parametrize("what", BY_KEY)
def test_objects_of_reserved_key_are_removed(what):
    with scope() as ipc:
        key = ipc.reserve_key()
        ipc.fork(BY_KEY[what], key, 0o600).wait()
        assert len(objects(key)) == 1
    assert objects(key) == []


def without_capabilities(fork: Fork, check: Callable[[], None]) -> None:
    """Run *check* in a child that permissions bind, also if the tests run as root."""

    def child() -> None:
        capset(CapabilitySets(0, 0, 0))
        check()

    fork(child).result()


@pytest.mark.parametrize("what", BY_KEY)
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400])
def test_objects_of_reserved_key_are_removed_if_their_owner_may_not_look_at_them(fork, what, mode):
    def check():
        with scope() as ipc:
            key = ipc.reserve_key()
            BY_KEY[what](key, mode)
            assert len(objects(key)) == 1
        assert objects(key) == []

    without_capabilities(fork, check)


@pytest.mark.parametrize("what", BY_KEY)
def test_key_in_use_is_refused_if_its_owner_may_not_look_at_the_object(fork, ipc, what):
    key = ipc.reserve_key()  # which removes the object

    def check():
        BY_KEY[what](key, 0)
        with scope() as inner, pytest.raises(FileExistsError):
            inner.reserve_key(key)
        assert len(objects(key)) == 1

    without_capabilities(fork, check)


@pytest.mark.parametrize("what", BY_NAME)
def test_objects_of_reserved_name_are_removed_without_capabilities(fork, what):
    def check():
        with scope() as ipc:
            name = ipc.reserve_name()
            BY_NAME[what](name)
        with suppress(FileNotFoundError):
            mq_unlink(name)
            raise AssertionError("the queue was there")
        assert not exists(name)

    without_capabilities(fork, check)


def test_program_that_is_killed_leaves_nothing_under_reserved_names():
    source = """
import os, signal, sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
resource_tracker.register = lambda *_: None  # it would be a second janitor
kept = [SharedMemory(name, create=True, size=4096) for name in sys.argv[1:]]
print("ready", flush=True)
signal.pause()
"""
    with scope() as ipc:
        names = [ipc.reserve_name() for _ in range(10)]
        program = ipc.spawn([sys.executable, "-c", source, *names])
        program.wait_for_output("ready", timeout=60)
        program.signal(signal.SIGKILL)
        program.wait()
        assert all(map(exists, names))
    assert not any(map(exists, names))


def test_reserved_path_is_removed_with_all_its_contents():
    with scope() as ipc:
        path = Path(ipc.reserve_path("server.sock"))
        assert path.name == "server.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        os.mkfifo(path.with_name("control"))
        (path.parent / "logs").mkdir()
        (path.parent / "logs" / "log").write_text("text")
    assert not path.parent.exists()


def test_a_name_or_key_in_use_is_refused():
    with scope() as ipc:
        shared, segment = ipc.posix_shm(), ipc.sysv_shm()
        with pytest.raises(FileExistsError, match="cannot be reserved, because an object has it"):
            ipc.reserve_name(shared.name)
        with pytest.raises(FileExistsError, match="cannot be reserved, because an object has it"):
            ipc.reserve_key(segment.key)
        assert exists(shared.name)


@pytest.mark.parametrize("name", ["", "/", "no-slash", "/a/b", "/" + "x" * 252])
def test_invalid_names_are_refused(name):
    with scope() as ipc, pytest.raises(ValueError, match="cannot be the name of a POSIX object"):
        ipc.reserve_name(name)


def test_ipc_private_cannot_be_reserved():
    with scope() as ipc, pytest.raises(ValueError, match="must not be IPC_PRIVATE"):
        ipc.reserve_key(0)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\0b"])
def test_invalid_paths_are_refused(name):
    with scope() as ipc, pytest.raises(ValueError, match="must be a file name without a slash"):
        ipc.reserve_path(name)


KILLED = """
import os, signal, sys
from pytest_ipc import Fork, scope
from pytest_ipc.kernel import msgget, shm_open
with scope() as ipc:
    name, key, path = ipc.reserve_name(), ipc.reserve_key(), ipc.reserve_path()
    os.close(shm_open(name, os.O_CREAT | os.O_RDWR))
    msgget(key, 0o1600)
    os.mkfifo(path)
    print(name, key, path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_reaper_removes_them_after_sigkill():
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    name, key, path = done.stdout.split()
    assert Deadline(30).until(lambda: not exists(name) and not objects(int(key)) and not os.path.exists(path))
    assert not os.path.exists(os.path.dirname(path))


def test_a_chosen_name_or_key_is_reserved_once():
    name, key = f"/chosen-{os.getpid()}", 0x1000_0000 + os.getpid()
    with scope() as one, scope() as other:
        one.reserve_name(name)
        one.reserve_key(key)
        with pytest.raises(FileExistsError, match=rf"'{name}' is reserved already, by process {os.getpid()}"):
            other.reserve_name(name)
        with pytest.raises(FileExistsError, match="is reserved already"):
            one.fork(other.reserve_key, key).result()
    with scope() as later:
        assert later.reserve_name(name) == name


def test_a_path_must_be_a_string_of_a_file_names_length():
    with scope() as ipc:
        with pytest.raises(TypeError, match=r"name must be a string like 'server\.sock', not 3"):
            ipc.reserve_path(3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"name must be at most 255 bytes \(NAME_MAX\), not 300"):
            ipc.reserve_path("x" * 300)

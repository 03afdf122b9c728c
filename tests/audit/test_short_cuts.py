"""Detectors that do not read their lists each time find what appears when something of the same size disappears."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import resource
import select
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from pytest_ipc import kernel
from pytest_ipc.audit.detectors import detectors
from pytest_ipc.audit.leak import Detector
from pytest_ipc.audit.leak_audit import Audit
from pytest_ipc.audit.origin import Origin
from pytest_ipc.custody.descendants import has_children
from pytest_ipc.kernel.libc import syscall
from pytest_ipc.kernel.listings import mount_ids, shared_ranges

from ..leak_check import planted
from ..leak_check.test_kinds import NAMES, PLANTED

CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine, -1)
WALL = 0x4000_0000  # __WALL


def detector(kind: str) -> Detector:
    (found,) = detectors([kind])
    return found


def new_keys(found: Detector, change: Callable[[], object]) -> set[object]:
    """Return the differences that *change* makes, after snapshots that allow every short cut."""
    for _ in range(2):
        before = found.snapshot()
    change()
    return set(found.differences(before, found.snapshot()))


def handle(_signo: int, _frame: object) -> None:
    pass


def handle_too(_signo: int, _frame: object) -> None:
    pass


FILES: dict[str, Callable[[], int]] = {
    "null": lambda: os.open("/dev/null", os.O_RDONLY),
    "regular": lambda: os.open(__file__, os.O_RDONLY),
    "proc": lambda: os.open("/proc/self/mounts", os.O_RDONLY),
    "memory": lambda: os.memfd_create("planted"),
    "eventfd": lambda: os.eventfd(0),
    "socket": lambda: socket.socket().detach(),
}


@pytest.mark.parametrize("name", FILES)
def test_descriptor_is_found_if_another_was_closed(name):
    closed = FILES[name]()

    def change() -> None:
        os.close(closed)
        os.dup2(0, 900)

    try:
        assert new_keys(detector("descriptors"), change) == {"900"}
    finally:
        os.close(900)


def test_descriptor_is_found_beyond_a_lower_limit():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
    try:

        def change() -> None:
            os.close(opened.pop(0))
            os.dup2(opened[0], 900)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4, limits[1]))

        found = detector("descriptors")
        found.snapshot()
        before = found.snapshot()
        change()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert "900" in set(found.differences(before, found.snapshot()))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in [*opened, 900]:
            os.close(fd)


def enter(flags: int) -> None:
    """Enter new namespaces, whose mounts stay there."""
    kernel.unshare(flags)
    if flags & kernel.CLONE_NEWNS:
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)


def test_mounts_file_is_not_polled(fork, tmp_path):
    """poll(2) of /proc/self/mounts reports a change once, and a test may wait for it."""
    if os.geteuid() != 0:
        pytest.skip("mount(2) needs CAP_SYS_ADMIN")

    def child() -> int:
        enter(kernel.CLONE_NEWNS)
        with open("/proc/self/mounts") as file:
            found = detector("descriptors")
            found.snapshot()
            kernel.mount("tmpfs", str(tmp_path), "tmpfs")
            found.snapshot()
            poll = select.poll()
            poll.register(file, select.POLLPRI)
            return len(poll.poll(0))

    assert fork(child).result() == 1


SYSV: dict[str, tuple[Callable[[], int], Callable[[int], None]]] = {
    "sysv-shm": (lambda: kernel.shmget(kernel.IPC_PRIVATE, 4711, 0o600), kernel.shmctl_rmid),
    "sysv-sem": (lambda: kernel.semget(kernel.IPC_PRIVATE, 3, 0o600), kernel.semctl_rmid),
    "sysv-msg": (lambda: kernel.msgget(kernel.IPC_PRIVATE, 0o600), kernel.msgctl_rmid),
}


@pytest.mark.parametrize("kind", SYSV)
def test_object_is_found_if_another_of_the_same_size_was_removed(kind):
    make, remove = SYSV[kind]
    found = detector(kind)
    found.snapshot()
    first, last = make(), make()  # so that the removed one has not the highest index
    made = []

    def change() -> None:
        remove(first)
        made.append(make())

    try:
        assert new_keys(found, change) >= set(made)
    finally:
        for id in (last, *made):
            remove(id)


@pytest.mark.skipif(shared_ranges() is None, reason="PROCMAP_QUERY came with Linux 6.11")
def test_mapping_is_found_if_as_much_was_unmapped():
    first, made = mmap.mmap(-1, 4096), []

    def change() -> None:
        made.append(mmap.mmap(-1, 4096))  # at another address, as the first one is still mapped
        first.close()

    assert len(new_keys(detector("mappings"), change)) == 1
    made[0].close()


def test_handler_is_found_if_another_was_installed_before():
    before = signal.signal(signal.SIGUSR2, handle)
    try:
        keys = new_keys(detector("dispositions"), lambda: signal.signal(signal.SIGUSR2, handle_too))
        assert keys == {int(signal.SIGUSR2)}
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_soft_limit_is_found():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        keys = new_keys(detector("rlimits"), lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard)))
        assert keys == {"RLIMIT_NOFILE"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_variable_is_found_that_is_added_or_changed(monkeypatch):
    found = detector("environment")
    assert new_keys(found, lambda: monkeypatch.setenv("PLANTED", "1")) == {b"PLANTED"}
    assert new_keys(found, lambda: monkeypatch.setenv("PLANTED", "2")) == {b"PLANTED"}


@pytest.mark.skipif(mount_ids() is None, reason="listmount(2) came with Linux 6.8")
def test_mount_is_found_if_another_was_unmounted(fork, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mount(2) needs CAP_SYS_ADMIN")
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()

    def child() -> int:
        enter(kernel.CLONE_NEWNS)
        kernel.mount("tmpfs", str(places[0]), "tmpfs")

        def change() -> None:
            kernel.umount2(str(places[0]))
            kernel.mount("tmpfs", str(places[1]), "tmpfs")

        return len(new_keys(detector("mounts"), change))

    assert fork(child).result() == 1


@pytest.mark.parametrize("holder", ["this process, by an old number", "a child", "one of many descriptors"])
def test_abstract_name_is_found_though_nobody_had_a_socket(fork, holder):
    def child() -> list[bool]:
        found, name = detector("abstract-sockets"), f"\0planted-{os.getpid()}"
        numbers = [os.open("/dev/null", os.O_RDONLY) for _ in range(60 if "many" in holder else 1)]
        reader, writer = os.pipe()

        def change() -> None:
            if holder == "a child":
                if os.fork() == 0:
                    kept = socket.socket(socket.AF_UNIX)
                    kept.bind(name)
                    os.write(writer, b"x")
                    signal.pause()
                os.read(reader, 1)
                return
            made = socket.socket(socket.AF_UNIX)
            made.bind(name)
            os.dup2(made.fileno(), numbers[-1])
            made.close()

        for _ in range(2):
            before = found.snapshot()
        change()
        after = found.snapshot()
        keys = [
            key for key in found.differences(before, after) if isinstance(key, tuple) and name[1:].encode() in key[0]
        ]
        return [bool(found.proof(key, after, Origin())) for key in keys]

    assert fork(child).result() == [True]


@pytest.mark.parametrize("few", [True, False])
def test_abstract_name_is_found_in_few_and_in_many_sockets(fork, few):
    if os.geteuid() != 0:
        pytest.skip("unshare(2) needs CAP_SYS_ADMIN")

    def child() -> list[object]:
        enter(kernel.CLONE_NEWNET)
        others = [socket.socket(socket.AF_UNIX) for _ in range(1 if few else 40)]
        for number, other in enumerate(others):
            other.bind(f"\0other-{number}")

        def change() -> None:
            others.append(socket.socket(socket.AF_UNIX))
            others[-1].bind("\0planted")
            if few:  # among many, the number must change
                others.pop(0).close()

        return [key[0] for key in new_keys(detector("abstract-sockets"), change) if isinstance(key, tuple)]

    assert fork(child).result() == [b"@planted"]


def test_number_that_was_closed_between_two_tests_is_found_in_the_next():
    found = detector("descriptors")
    audit, kinds = Audit([found]), frozenset(["descriptors"])
    first = os.open("/dev/null", os.O_RDONLY)
    audit.begin(kinds)
    assert not audit.end(kinds).leaks
    os.close(first)
    audit.begin(kinds, follows=True)
    second = os.open("/dev/null", os.O_RDONLY)
    assert second == first
    leaks = audit.end(kinds).leaks
    os.close(second)
    assert [leak.key for leak in leaks] == [str(second)]


def test_each_kind_is_found_after_a_clean_test(fork, monkeypatch):
    """Where only pytest runs between two tests, most snapshots after the first serve as those before the second."""
    monkeypatch.setattr(planted, "note", lambda *_: None)

    def child() -> dict[str, bool]:
        found = {}
        for name in NAMES:
            kind = PLANTED[name][0]
            audit, kinds = Audit(detectors([kind])), frozenset([kind])
            audit.begin(kinds)
            clean = not [leak for leak in audit.end(kinds).leaks if leak.is_proved]
            audit.begin(kinds, follows=True)
            with getattr(planted, name)():
                leaks = audit.end(kinds).leaks
                planted.KEPT.clear()
            found[name] = clean and bool(leaks)
        return found

    assert fork(child).result(timeout=30) == dict.fromkeys(NAMES, True)


def test_mapping_in_the_place_of_one_that_ended_between_two_tests_is_found():
    audit, kinds = Audit(detectors(["mappings"])), frozenset(["mappings"])
    first = mmap.mmap(-1, 1 << 20)
    audit.begin(kinds)
    assert not audit.end(kinds).leaks
    place = ctypes.addressof(ctypes.c_char.from_buffer(first))
    gc.collect()
    first.close()
    audit.begin(kinds, follows=True)
    address = kernel.mmap(place, 1 << 20, mmap.PROT_READ, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | kernel.MAP_FIXED, -1)
    leaks = audit.end(kinds).leaks
    kernel.munmap(address, 1 << 20)
    assert [leak.kind for leak in leaks] == ["mappings"]


def test_timer_that_expired_between_two_tests_is_found_in_the_next():
    audit, kinds = Audit(detectors(["timers"])), frozenset(["timers"])
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    audit.begin(kinds)
    assert not audit.end(kinds).leaks
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    audit.begin(kinds, follows=True)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    leaks = audit.end(kinds).leaks
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert [leak.kind for leak in leaks] == ["timers"]


def test_thread_is_found_beside_none_and_beside_another():
    found, end = detector("threads"), threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(2)]
    try:
        for thread in threads:
            keys = new_keys(found, thread.start)
            assert keys == {str(thread.native_id)}
    finally:
        end.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(CLONE < 0, reason="the number of clone(2) is not known here")
def test_child_is_seen_that_does_not_end_with_sigchld(fork):
    def child() -> tuple[bool, bool]:
        reader, writer = os.pipe()
        before = has_children()
        if (pid := syscall(CLONE, 0, 0, 0, 0, 0)) == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
        after = has_children()
        os.close(writer)
        os.waitpid(pid, WALL)
        return before, after

    assert fork(child).result() == (False, True)

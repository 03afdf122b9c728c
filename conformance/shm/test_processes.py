"""shmop(2), fork(2), execve(2), _exit(2): one segment in several processes."""

from __future__ import annotations

import os
import signal
from ctypes import CDLL, c_char, c_long
from functools import partial
from typing import Any

from pytest_ipc import Child, Fork, Need, clause, untested
from pytest_ipc.kernel import (
    PR_SET_SECCOMP,
    SECCOMP_MODE_STRICT,
    SHM_RDONLY,
    Deadline,
    number_of,
    prctl,
    shmat,
    shmctl_rmid,
)
from pytest_ipc.kernel.trace import paused

from ..conftest import succeeded
from ..memory import peek, poke


@clause("shm.fork-inherits", "shmop(2)", "NOTES")
def test_fork_inherits_attachments(sysv_shm, fork):
    """After fork() the child inherits the attachments at the same addresses, and shm_nattch counts them."""
    attachment = sysv_shm().attach()
    attachment.buf[0] = 7
    address = attachment.address
    found = fork(lambda: (peek(address, 1), attachment.segment.stat().nattch)).result()
    assert found == (b"\x07", 2)


@clause("shm.change-seen-by-all", "shmop(2)", "DESCRIPTION")
def test_store_is_visible_to_all_processes(sysv_shm, fork, pipe):
    """A store to a segment is visible at once to every process that has it attached, whatever the address."""
    segment = sysv_shm()
    ours = segment.attach()
    questions, answers = [pipe() for _ in range(3)], [pipe() for _ in range(3)]

    def look(question, answer) -> None:
        theirs = shmat(segment.id, None, SHM_RDONLY)
        for _ in range(20):
            place = question.read(1)[0]
            answer.write(peek(theirs + place, 1))

    for question, answer in zip(questions, answers, strict=True):
        fork(look, question, answer)
    for value in range(20):
        ours.buf[value] = value + 100
        for question, answer in zip(questions, answers, strict=True):
            question.write(bytes([value]))
            assert answer.read(1) == bytes([value + 100])


@clause("shm.child-change-seen-by-parent", "shmop(2)", "DESCRIPTION")
def test_store_of_child_is_visible_to_parent(sysv_shm, fork):
    """A child's store to an inherited attachment is visible to its parent."""
    attachment = sysv_shm().attach()
    fork(poke, attachment.address + 5, 9).result()
    assert attachment.buf[5] == 9


@clause("shm.exec-detaches", "execve(2)", "DESCRIPTION")
def test_execve_detaches(sysv_shm, program, pipe):
    """execve() detaches all segments of the process."""
    segment = sysv_shm()
    segment.attach()
    up, down = pipe(), pipe()
    child = program(
        "import os, sys; os.write(int(sys.argv[1]), b'!'); os.read(int(sys.argv[2]), 1)",
        up.write_fd,
        down.read_fd,
        keep=(up.write_fd, down.read_fd),
    )
    assert up.read(1) == b"!"
    assert segment.stat().nattch == 1
    down.write(b"!")
    succeeded(child)


@clause("shm.exit-detaches", "_exit(3)", "HISTORY")
def test_exit_detaches(sysv_shm, fork):
    """_exit() detaches the segments of the process, and sets shm_lpid to it and shm_dtime."""
    segment = sysv_shm()

    def attach_and_leave() -> int:
        shmat(segment.id)
        return os.getpid()

    pid = fork(attach_and_leave).result()
    ds = segment.stat()
    assert (ds.nattch, ds.lpid) == (0, pid)
    assert ds.dtime > 0


@clause("shm.sigkill-detaches", "shmop(2)", "NOTES")
def test_sigkill_detaches(sysv_shm, fork, pipe):
    """When SIGKILL terminates a process, its segments are detached."""
    segment, ready = sysv_shm(), pipe()

    def attach_and_wait() -> None:
        shmat(segment.id)
        ready.write(b"!")
        signal.pause()

    child = fork(attach_and_wait)
    ready.read(1)
    assert segment.stat().nattch == 1
    child.signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert segment.stat().nattch == 0


@clause("shm.rmid-then-last-exit-destroys", "shmctl(2)", "IPC_RMID")
def test_last_exit_destroys_removed_segment(sysv_shm, fork, pipe):
    """A segment marked for destruction is destroyed when the last process that has it attached terminates."""
    segment, ready = sysv_shm(), pipe()

    def attach_and_wait() -> None:
        shmat(segment.id)
        ready.write(b"!")
        signal.pause()

    child = fork(attach_and_wait)
    ready.read(1)
    shmctl_rmid(segment.id)
    assert segment.exists()
    child.signal(signal.SIGKILL)
    child.wait()
    assert not segment.exists()


@clause("shm.unrelated-processes-meet-by-key", "shmget(2)", "DESCRIPTION")
def test_unrelated_processes_meet_by_key(sysv_shm, program):
    """Unrelated programs that attach the segment of the same key share its content."""
    attachment = sysv_shm(64).attach()
    attachment.buf[:5] = b"first"
    source = (
        "import sys, ctypes, pytest_ipc.kernel as ipc\n"
        "address = ipc.shmat(ipc.shmget(int(sys.argv[1]), 0, 0))\n"
        "there = ctypes.string_at(address, 5)\n"
        "ctypes.memmove(address, there[::-1], 5)\n"
        "sys.exit(0 if there == b'first' else f'found {there}')\n"
    )
    succeeded(program(source, attachment.segment.key))
    assert bytes(attachment.buf[:5]) == b"tsrif"


@clause("shm.sharing-needs-no-system-call", "shmop(2)", "DESCRIPTION")
def test_sharing_needs_no_system_call(sysv_shm, fork, pipe):
    """Processes share data through an attached segment without any system call."""
    ours, gate = sysv_shm().attach(), pipe()
    here, there = c_char.from_address(ours.address), c_char.from_address(ours.address + 1)
    leave, libc_syscall = c_long(number_of("exit")), CDLL(None).syscall

    def copy_in_strict_mode() -> None:
        gate.write(b"!")
        # From here on the kernel kills this process for any call but read, write, exit and sigreturn.
        with paused():  # a record of the call could take others
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)
        while here.value != b"q":
            there.value = here.value
        libc_syscall(leave, c_long(0))

    if not _has_strict_mode(fork):
        untested(Need.SECCOMP, "needs seccomp's strict mode")
    child = fork(copy_in_strict_mode)
    gate.read(1, timeout=None)
    for value in (b"a", b"b", b"c"):
        here.value = value
        Deadline(5).until(partial(_decided, child, there, value))
        assert there.value == value, f"the child must copy {value!r}"
    here.value = b"q"
    assert child.wait() == 0, "the child must exit normally: SIGKILL means that it made a system call"


def _decided(child: Child[Any], place: c_char, value: bytes) -> bool:
    return place.value == value or not child.alive


def _has_strict_mode(fork: Fork) -> bool:
    """Return whether the kernel enforces strict mode: it must kill a child that makes a forbidden call."""

    def forbidden() -> None:
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)
        os.getppid()

    return fork(forbidden).wait() == -signal.SIGKILL

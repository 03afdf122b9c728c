"""Files of /proc: the kernel's lists agree with its calls, processes with any name, missing files."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from pytest_ipc.kernel import (
    SystemCall,
    capabilities,
    limit,
    numbers_of,
    open_descriptors,
    proc,
    process_state,
    process_status,
    process_syscall,
    process_wchan,
    set_limit,
    shmctl_limits,
    shmctl_stat,
    sysvipc_shm,
)


def test_sysvipc_shm_agrees_with_shmctl(sysv_shm):
    segment = sysv_shm(12345, mode=0o640)
    segment.attach()
    ds = shmctl_stat(segment.id)
    rows = sysvipc_shm()
    if rows is None:
        pytest.skip("there is no /proc/sysvipc/shm here")
    (row,) = (row for row in rows if row.shmid == segment.id)
    perm = ds.perm
    assert (
        (row.key, row.perms & 0o777, row.size) == (perm.key, perm.mode & 0o777, ds.segsz) == (segment.key, 0o640, 12345)
    )
    assert (row.cpid, row.lpid, row.nattch) == (ds.cpid, ds.lpid, ds.nattch) == (os.getpid(), os.getpid(), 1)
    assert (row.uid, row.gid, row.cuid, row.cgid) == (perm.uid, perm.gid, perm.cuid, perm.cgid)
    assert (row.atime, row.dtime, row.ctime) == (ds.atime, ds.dtime, ds.ctime)
    assert (row.atime > 0, row.dtime, row.ctime > 0) == (True, 0, True)
    assert min(row.rss, row.swap) >= 0


def test_process_state_of_this_process():
    state = process_state(os.getpid())
    assert state is not None
    assert (state.state, state.ppid, state.starttime > 0) == ("R", os.getppid(), True)
    assert process_status()["Pid"] == str(os.getpid())


def test_reaped_process_has_no_state(fork):
    child = fork(int)
    child.wait()
    gone = child.pid
    assert (process_state(gone), process_syscall(gone), process_wchan(gone)) == (None, None, None)
    assert process_status(gone) == {}


@pytest.mark.parametrize("name", ["a b", "a) R 1 (b", "(", "))) Z", "\n"])
def test_command_may_contain_spaces_and_parentheses(fork, tmp_path, name):
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    child = fork(os.execv, program, [name, "60"])
    child.wait_blocked("nanosleep")
    state = process_state(child.pid)
    assert state is not None
    assert (state.state, state.ppid) == ("S", os.getpid())
    assert process_status(child.pid)["PPid"] == str(os.getpid())


def test_stopped_process_and_zombie_are_reported(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    child.wait_blocked("read")
    os.kill(child.pid, 19)
    assert child.wait_state("T") == "T"
    os.kill(child.pid, 9)
    assert child.wait_state("Z") == "Z"


def test_process_syscall_returns_call_and_arguments(fork, pipe):
    fd = pipe().read_fd
    child = fork(os.read, fd, 7)
    child.wait_blocked("read")
    call = process_syscall(child.pid)
    if call is None:
        pytest.skip("/proc/PID/syscall cannot be read here")
    assert isinstance(call, SystemCall)
    assert (call.number in numbers_of("read"), call.arguments[0], call.arguments[2]) == (True, fd, 7)
    assert str(call).startswith(f"read({fd:#x}, ")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("running\n", "running"),
        ("-1 0x7ffc0 0x7f00\n", "running"),
        ("0 0x3 0x7f 0x1 0x0 0x0 0x0 0x7ffc 0x7f00\n", SystemCall(0, (3, 127, 1, 0, 0, 0))),
        ("", None),
        (None, None),
    ],
)
def test_process_syscall_parses_every_form_of_the_line(monkeypatch, text, answer):
    monkeypatch.setattr(proc, "_read", lambda _path: text)
    assert process_syscall(1) == answer


def test_missing_file_returns_none(monkeypatch):
    assert limit("kernel/no_such_limit") is None
    assert process_status("no_such_process") == {}
    monkeypatch.setattr(proc, "_read", lambda _path: None)
    assert (sysvipc_shm(), capabilities(), limit("kernel/shmmax")) == (None, None, None)


def test_limit_agrees_with_shmctl():
    assert limit("kernel/shmmni") == shmctl_limits().shmmni


def test_set_limit_raises_the_refusal_of_write():
    with pytest.raises(OSError, match="no_such_limit"):
        set_limit("kernel/no_such_limit", 1)


def test_open_descriptors_lists_exactly_the_open_ones(pipe):
    before = open_descriptors()
    ends = pipe()
    assert sorted({*before, ends.read_fd, ends.write_fd}) == open_descriptors()
    ends.close()
    assert before == open_descriptors() == sorted(before)


def test_capabilities_agree_with_proc_status():
    found = capabilities()
    assert found is not None
    assert f"{found:016x}" == process_status()["CapEff"]
    assert sys.maxsize > 0

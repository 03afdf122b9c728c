"""Wrong keys, wrong sizes, missing permission and reached limits are errors, and leak nothing."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pytest_ipc.kernel import capabilities, sysvipc_shm

CAP_IPC_OWNER = 1 << 15


@pytest.fixture
def without_privilege():
    """The beginning of a command that runs a program without CAP_IPC_OWNER, which ignores permissions."""
    if not (capabilities() or 0) & CAP_IPC_OWNER:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("permissions do not bind a process with CAP_IPC_OWNER, and there is no setpriv(1) to drop it")
    command = [setpriv, "--bounding-set", "-ipc_owner", "--inh-caps", "-ipc_owner"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"permissions do not bind a process with CAP_IPC_OWNER, and setpriv fails: {tried.stderr.strip()}")
    return command


@pytest.mark.parametrize("program", ["produce", "consume"])
def test_wrong_key_is_an_error(no_ring, program):
    started = getattr(no_ring, program)()
    assert started.wait() == 1
    assert started.stderr == "open: No such file or directory\n"


def test_removal_of_a_missing_ring_is_an_error(no_ring):
    control = no_ring.control("remove")
    assert (control.wait(), control.stderr) == (1, "remove: No such file or directory\n")


@pytest.mark.parametrize("program", ["produce", "consume", "ringctl"])
def test_missing_arguments_are_a_usage_error(ipc, programs, program):
    started = ipc.spawn([programs / program])
    assert started.wait() == 2
    assert started.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    ("slots", "size"), [(0, 8), (32768, 8), (1, 0), (1, 2**64 - 1)], ids=["no-slot", "slots", "no-size", "size"]
)
def test_invalid_size_creates_nothing(ipc, no_ring, slots, size):
    control = no_ring.control("create", slots, size)
    assert (control.wait(), control.stderr) == (1, "create: Invalid argument\n")
    for get in (ipc.sysv_shm, ipc.sysv_sem):
        with pytest.raises(FileNotFoundError):
            get(key=no_ring.key, flags=0)


def test_key_in_use_is_an_error_and_the_ring_stays(new_ring):
    ring = new_ring(4)
    ring.produce("kept").wait()
    second = ring.control("create", 8, 8)
    assert (second.wait(), second.stderr) == (1, "create: File exists\n")
    assert ring.semaphores.values == [1, 3, 1, 0]


def test_foreign_semaphore_set_is_in_the_way(ipc, no_ring):
    """The segment, which has been created before, is removed again."""
    foreign = ipc.sysv_sem(values=[7])
    no_ring.key = foreign.key
    control = no_ring.control("create", 4, 8)
    assert (control.wait(), control.stderr) == (1, "create: File exists\n")
    assert foreign.values == [7]
    with pytest.raises(FileNotFoundError):
        ipc.sysv_shm(key=foreign.key, flags=0)


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize("program", ["produce", "consume"])
def test_missing_permission_is_an_error(ipc, new_ring, without_privilege, program, mode):
    ring = new_ring(4)
    ipc.sysv_shm(key=ring.key, flags=0).set_status(mode=mode)
    started = ipc.spawn([*without_privilege, ring.programs / program, hex(ring.key)])
    assert (started.wait(), started.stderr) == (1, "open: Permission denied\n")


@pytest.mark.parametrize(("limits", "lack"), [({"shmmni": 0}, "segment"), ({"sem": (4, 4, 32, 0)}, "set")])
def test_reached_limit_leaks_no_segment(ipc, no_ring, limits, lack):
    """With real limits of the kernel, in an IPC namespace of the test's own."""

    def create():
        argv = [no_ring.programs / "ringctl", "create", hex(no_ring.key), "4", "8"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stderr, sysvipc_shm()

    message, segments = ipc.ipc_namespace(**limits).fork(create).result()
    assert message == "create: No space left on device\n", lack
    assert segments == []

"""What the sandbox promises, one clause each. README.md is its manual."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc import clause, limits
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, process_status, shmget

MANUAL, MIB = "README.md", 1 << 20
PROBES = Path(__file__).with_name("probes.py")


@pytest.fixture
def outside(ipc):
    """Create an object of a kind outside of the sandbox."""
    return {"segment": ipc.sysv_shm, "set": ipc.sysv_sem, "queue": ipc.sysv_msg}


@clause("sandbox.namespace-own", MANUAL, "Namespaces", level="linux")
@pytest.mark.parametrize("name", ["ipc", "mnt", "user"])
def test_namespaces_are_its_own(inside, name):
    """The sandbox has its own IPC, mount and user namespaces."""
    assert inside("namespace", name) != os.readlink(f"/proc/self/ns/{name}")


@clause("sandbox.sysv-invisible", MANUAL, "Namespaces", level="linux")
@pytest.mark.parametrize("kind", ["segment", "set", "queue"])
def test_sysv_objects_outside_are_invisible(outside, inside, kind):
    """A System V object outside is not found by its key inside."""
    assert inside("find", kind, outside[kind]().key) is False


@clause("sandbox.sysv-contained", MANUAL, "Namespaces", level="linux")
@pytest.mark.parametrize("kind", ["segment", "set", "queue"])
def test_sysv_objects_inside_are_contained(ipc, outside, inside, kind):
    """A System V object inside is not found by its key outside."""
    key = ipc.reserve_key()
    assert inside("create", kind, key) is True
    with pytest.raises(FileNotFoundError):
        outside[kind](key=key, flags=0)


@clause("sandbox.sysv-removed", MANUAL, "Namespaces", level="linux")
@pytest.mark.parametrize("kind", ["segment", "set", "queue"])
def test_sysv_objects_end_with_the_sandbox(ipc, inside, kind):
    """The objects of one sandbox are not in the next."""
    key = ipc.reserve_key()
    assert inside("create", kind, key) is True
    assert inside("find", kind, key) is False
    assert inside("objects") == 0


@clause("sandbox.sysv-limits-own", MANUAL, "Namespaces", level="linux")
@pytest.mark.ipc_requires_limit("kernel.shmmni", at_least=2)
def test_sysv_limits_are_its_own(ipc, sandbox):
    """The limits of System V objects outside do not restrict the sandbox."""
    namespace = ipc.ipc_namespace(shmmni=1)

    def start_in_full_namespace():
        shmget(IPC_PRIVATE, 1, IPC_CREAT | IPC_EXCL | 0o600)
        argv = [*sandbox, sys.executable, PROBES, "create", "segment", "1"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    assert namespace.fork(start_in_full_namespace).result(timeout=30) == '{"value": true}\n'


@clause("sandbox.queue-invisible", MANUAL, "Namespaces", level="linux")
def test_posix_queue_outside_is_invisible(ipc, refused):
    """mq_open() inside fails with ENOENT for a POSIX message queue that exists outside."""
    refused("ENOENT", "open_queue", ipc.posix_mq().name)


@clause("sandbox.shm-invisible", MANUAL, "Shared memory", level="linux")
def test_posix_memory_outside_is_invisible(ipc, inside):
    """POSIX shared memory outside is not in the /dev/shm inside."""
    memory = ipc.posix_shm()
    assert inside("exists", f"/dev/shm{memory.name}") is False


@clause("sandbox.shm-contained", MANUAL, "Shared memory", level="linux")
def test_posix_memory_inside_is_contained(ipc, inside):
    """POSIX shared memory inside is not in the /dev/shm outside, and ends with the sandbox."""
    name = ipc.reserve_name()
    assert inside("write", f"/dev/shm{name}") > 0
    assert not os.path.exists(f"/dev/shm{name}")
    assert inside("exists", f"/dev/shm{name}") is False


@clause("sandbox.shm-size", MANUAL, "Shared memory", level="linux")
@pytest.mark.ipc_requires_shm("2M")
def test_shared_memory_has_its_size(inside):
    """The /dev/shm inside has 1 MiB, whatever its size outside."""
    assert inside("limit", "/dev/shm size") == MIB < limits()["/dev/shm size"].value


@clause("sandbox.shm-usable", MANUAL, "Shared memory", level="linux")
def test_shared_memory_can_be_filled(inside):
    """A process inside can allocate the whole /dev/shm."""
    assert inside("fill", MIB) == MIB


@clause("sandbox.shm-full-enospc", MANUAL, "Shared memory", level="linux")
@pytest.mark.ipc_requires_shm("2M")
def test_full_shared_memory_is_an_error(refused):
    """An allocation beyond the size of /dev/shm fails with ENOSPC."""
    refused("ENOSPC", "fill", MIB + 1)


@clause("sandbox.capabilities-dropped", MANUAL, "Privileges", level="linux")
@pytest.mark.parametrize("name", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_capabilities_are_dropped(inside, name):
    """All capability sets of a process inside are empty."""
    assert int(inside("status", name), 16) == 0


@clause("sandbox.capabilities-of-root", MANUAL, "Privileges", level="linux")
@pytest.mark.ipc_requires_capability("CAP_SYS_ADMIN")
def test_privileges_of_the_caller_are_dropped(inside):
    """The capabilities of a privileged caller are not in the sandbox."""
    assert int(process_status("self")["CapEff"], 16) != 0 == int(inside("status", "CapEff"), 16)


@clause("sandbox.no-new-privs", MANUAL, "Privileges", level="linux")
@pytest.mark.ipc_requires_kernel("4.10")
def test_no_new_privileges_is_set(inside):
    """A process inside cannot gain privileges by execve(2)."""
    assert inside("status", "NoNewPrivs") == "1"


@clause("sandbox.privileged-eperm", MANUAL, "Privileges", level="linux")
@pytest.mark.parametrize("call", ["mount", "umount", "unshare", "chroot", "sethostname"])
def test_privileged_call_is_refused(refused, call):
    """Calls that need a capability fail with EPERM inside."""
    refused("EPERM", "privileged", call)

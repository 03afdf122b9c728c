"""IPC namespaces: limits are enforced, several children share a namespace, and nothing of it remains."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
from errno import E2BIG, EAGAIN, EINVAL, EMFILE, ENOSPC, EPERM
from pathlib import Path
from typing import Any

import pytest

import pytest_ipc.resources.ipc_namespace as ipc_namespace_module
from pytest_ipc import IpcNamespace, NotAllowedHere, fails_with, scope, unused_key
from pytest_ipc.custody.namespaces import ipc_namespace as current_namespace
from pytest_ipc.custody.namespaces import process_in
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    IPC_CREAT,
    IPC_EXCL,
    IPC_NOWAIT,
    PR_GET_PDEATHSIG,
    limit,
    msgget,
    msgsnd,
    open_descriptors,
    prctl,
    semget,
    semop,
    shmctl_stat,
    shmget,
)


def make(size: int = 1, key: int = 0) -> int:
    return shmget(key, size, IPC_CREAT | 0o600)


def test_limits_of_the_namespace_apply(ipc_namespace):
    namespace = ipc_namespace(shmmni=2, shmmax=5000, shmall=3)

    def meet_them():
        with fails_with(EINVAL):
            make(5001)
        make(5000)
        with fails_with(ENOSPC):  # pages
            make(4097)
        make(1)
        with fails_with(ENOSPC):  # segments
            make(1)

    namespace.fork(meet_them).result()


def test_the_other_mechanisms_meet_theirs_too(ipc_namespace):
    namespace = ipc_namespace(msgmnb=100, msgmni=1, msgmax=60, sem=(3, 5, 2, 2))

    def meet_them():
        queue = msgget(0, 0o600)
        with fails_with(ENOSPC):
            msgget(0, 0o600)
        with fails_with(EINVAL):
            msgsnd(queue, 1, bytes(61), IPC_NOWAIT)
        msgsnd(queue, 1, bytes(60), IPC_NOWAIT)
        with fails_with(EAGAIN):
            msgsnd(queue, 1, bytes(41), IPC_NOWAIT)
        with fails_with(EINVAL):
            semget(0, 4, 0o600)
        first = semget(0, 3, 0o600)
        with fails_with(ENOSPC):  # semaphores
            semget(0, 3, 0o600)
        semget(0, 2, 0o600)
        with fails_with(ENOSPC):  # sets
            semget(0, 1, 0o600)
        with fails_with(E2BIG):
            semop(first, [(0, 1)] * 3)

    namespace.fork(meet_them).result()


def test_every_limit_is_set_and_the_callers_are_as_they_were(ipc_namespace):
    wanted = {
        "kernel/shmmax": 1_000_000,
        "kernel/shmall": 200,
        "kernel/shmmni": 7,
        "kernel/shm_rmid_forced": 1,
        "kernel/msgmax": 100,
        "kernel/msgmnb": 300,
        "kernel/msgmni": 5,
    }
    before = {name: limit(name) for name in wanted}
    sem = Path("/proc/sys/kernel/sem").read_text()
    namespace = ipc_namespace(**{name.rpartition("/")[2]: value for name, value in wanted.items()}, sem=(9, 90, 8, 10))

    def tell():
        return {name: limit(name) for name in wanted}, Path("/proc/sys/kernel/sem").read_text().split()

    assert namespace.fork(tell).result() == (wanted, ["9", "90", "8", "10"])
    assert {name: limit(name) for name in wanted} == before
    assert Path("/proc/sys/kernel/sem").read_text() == sem


def test_the_limits_of_message_queues_are_set_too(ipc_namespace):
    if not os.path.exists("/proc/sys/fs/mqueue"):
        pytest.skip("this kernel has no POSIX message queues")
    wanted = {"queues_max": 3, "msg_max": 20, "msgsize_max": 1000, "msg_default": 5, "msgsize_default": 500}
    namespace = ipc_namespace(mqueue=wanted)
    assert namespace.fork(lambda: {name: limit(f"fs/mqueue/{name}") for name in wanted}).result() == wanted


def test_children_share_the_namespace_without_the_caller(ipc_namespace):
    namespace, own, key = ipc_namespace(), current_namespace(), unused_key()
    shmid = namespace.fork(make, 4321, key).result()
    found = namespace.fork(lambda: (shmctl_stat(shmget(key, 0, 0)).segsz, shmget(key, 0, 0), current_namespace()))
    assert found.result()[:2] == (4321, shmid)
    assert found.result()[2] != own == current_namespace()
    with pytest.raises(FileNotFoundError):
        shmget(key, 0, 0)


def test_two_namespaces_are_apart(ipc_namespace):
    first, second, key = ipc_namespace(), ipc_namespace(), unused_key()
    for namespace in (first, second):
        assert namespace.fork(shmget, key, 1, IPC_CREAT | IPC_EXCL | 0o600).result() >= 0


def test_child_in_a_namespace_is_a_child(ipc_namespace, pipe):
    """Blocking, output, exceptions, a descriptor by name, death with the parent: as with the fixture fork."""
    namespace, ends = ipc_namespace(), pipe()
    reader = namespace.fork(lambda: os.read(ends.read_fd, 1))
    reader.wait_blocked("read")
    ends.write(b"x")
    assert reader.result() == b"x"
    with pytest.raises(LookupError, match="told") as caught:
        namespace.fork(lambda: (_ for _ in ()).throw(LookupError("told"))).result()
    assert "in <child" in caught.value.__notes__[0]
    printer = namespace.fork(print, "from inside")
    printer.wait()
    assert printer.output == "from inside\n"
    read, write = os.pipe()
    number = f"{write}"
    namespace.fork.keeping(write)(lambda: os.write(int(number), b"y")).result()
    assert os.read(read, 1) == b"y"
    os.close(read)
    os.close(write)
    value = ctypes.c_int()
    assert namespace.fork(lambda: (prctl(PR_GET_PDEATHSIG, ctypes.addressof(value)), value.value)).result() == (
        0,
        signal.SIGKILL,
    )


def test_child_holds_no_descriptor_of_the_namespace(ipc_namespace):
    def links():
        return [os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors()]

    assert not [link for link in ipc_namespace().fork(links).result() if link.startswith(("ipc:", "user:"))]


def test_objects_created_in_the_namespace_are_removed_there(ipc_namespace):
    namespace = ipc_namespace()

    def life():
        with scope() as ipc:
            segment = ipc.sysv_shm()
            return segment.id, segment.key, segment.exists()

    _, key, existed = namespace.fork(life).result()
    assert existed
    assert namespace.fork(lambda: _is_there(key)).result() is False


def _is_there(key: int) -> bool:
    try:
        shmget(key, 0, 0)
    except FileNotFoundError:
        return False
    return True


def test_namespace_ends_with_its_object(ipc_namespace):
    namespace = ipc_namespace()
    idle = namespace.fork(signal.pause)
    name = namespace.fork(current_namespace).result()
    idle.wait_blocked("pause")
    assert process_in(name)
    namespace.close()
    assert idle.closed
    assert process_in(name) is None
    assert not [fd for fd in open_descriptors() if os.readlink(f"/proc/self/fd/{fd}") == name]
    with pytest.raises(ValueError, match="is closed"):
        namespace.fork(int)
    namespace.close()


def test_it_works_in_a_with_statement():
    try:
        with IpcNamespace.create(shmmni=1) as namespace:
            child = namespace.fork(make)
            assert child.result() >= 0
            assert repr(namespace) == "<IpcNamespace shmmni=1>"
    except NotAllowedHere as error:
        pytest.skip(str(error))
    assert child.closed


def test_an_unprivileged_user_has_one_in_a_user_namespace_of_their_own(fork, temporary_root, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")
    theirs = temporary_root / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)

    def life():
        monkeypatch.setattr("pytest_ipc.custody.state_paths._pinned", str(theirs / "run"))
        monkeypatch.setattr("pytest_ipc.custody.state_paths._pinned_owner", 65534)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with IpcNamespace.create(shmmni=1) as namespace:

            def inside():
                first = make()
                with fails_with(ENOSPC):
                    make()
                return first, os.getuid(), Path("/proc/self/uid_map").read_text().split()

            return namespace.own_user, namespace.fork(inside).result()[1:]

    try:
        assert fork(life).result() == (True, (0, ["0", "65534", "1"]))
    except NotAllowedHere as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(theirs)


def test_message_queues_are_files_in_a_mount_namespace(ipc_namespace, tmp_path, monkeypatch):
    monkeypatch.setattr(ipc_namespace_module, "MQUEUE", str(tmp_path))
    (tmp_path / "outside").touch()
    namespace = ipc_namespace()

    def look():
        open(tmp_path / "queue", "x").close()
        return sorted(os.listdir(tmp_path))

    seen = namespace.fork(look).result()
    if "outside" in seen:
        pytest.skip("no mount namespace can be made here, or there are no message queues")
    assert seen == ["queue"]
    assert namespace.fork(os.listdir, tmp_path).result() == ["queue"]
    assert os.listdir(tmp_path) == ["outside"]


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown": ({"shmxam": 1}, TypeError, "shmxam"),
    "negative": ({"shmmni": -1}, ValueError, "the limit shmmni must be from 0 to 2147483647, not -1"),
    "too large for C": ({"shmmax": 1 << 64}, ValueError, "the limit shmmax must be from 0 to"),
    "text": ({"shmmax": "1"}, TypeError, "the limit shmmax must be an integer, not '1'"),
    "truth": ({"msgmni": True}, TypeError, "the limit msgmni must be an integer, not True"),
    "above the ceiling": ({"shmmni": 1 << 30}, ValueError, "this kernel refuses 1073741824 for kernel/shmmni"),
    "three of four": ({"sem": (1, 2, 3)}, ValueError, "four numbers SEMMSL, SEMMNS, SEMOPM, SEMMNI, not (1, 2, 3)"),
    "one of four": ({"sem": 7}, ValueError, "four numbers SEMMSL, SEMMNS, SEMOPM, SEMMNI, not 7"),
    "a negative one": ({"sem": (1, 2, -3, 4)}, ValueError, "the limit sem (SEMOPM) must be from 0 to"),
    "no such queue limit": (
        {"mqueue": {"max": 1}},
        ValueError,
        "a limit in mqueue must be one of queues_max, msg_max",
    ),
    "a wrong queue limit": ({"mqueue": {"msg_max": -1}}, ValueError, "the limit msg_max must be from 0 to"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_limit_that_cannot_be_is_one_clear_error(ipc_namespace, case):
    limits, error, text = WRONG[case]
    before = open_descriptors()
    with pytest.raises(error) as caught:
        ipc_namespace(**limits)
    assert text in str(caught.value)
    assert open_descriptors() == before


def test_where_none_is_allowed_the_test_is_skipped_and_says_why(pytester):
    pytester.makeconftest(
        """
        import pytest
        import pytest_ipc.resources.ipc_namespace as ipc_namespace_module

        @pytest.fixture(params=["unshare", "set_limit"])
        def refused(request, monkeypatch):
            def refuse(*_arguments):
                raise PermissionError(1, "Operation not permitted")
            monkeypatch.setattr(ipc_namespace_module, request.param, refuse)
        """
    )
    pytester.makepyfile(
        """
        def test_one(refused, ipc_namespace):
            ipc_namespace(shmmni=1)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED*: an IPC namespace needs CAP_SYS_ADMIN, or user namespaces *: Operation not permitted",
            "SKIPPED*: cannot set kernel/shmmni in a new IPC namespace: Operation not permitted",
        ]
    )


def test_ineffective_unshare_changes_no_limits(ipc_namespace, monkeypatch):
    """As a sandbox might have them: the limits would be everybody's."""
    with monkeypatch.context() as patch:
        patch.setattr(ipc_namespace_module, "unshare", lambda _flags: None)
        with pytest.raises(pytest.skip.Exception, match="succeed here, but do not change the IPC namespace"):
            ipc_namespace(shmmni=limit("kernel/shmmni"))
    namespace = ipc_namespace()
    monkeypatch.setattr(ipc_namespace_module, "setns", lambda _fd, _type=0: None)
    with pytest.raises(NotAllowedHere, match="succeed here, but do not change the IPC namespace"):
        namespace.fork(int).result()


def test_namespace_without_a_descriptor_has_one_child(ipc_namespace, monkeypatch):
    """As in gVisor: the child makes the namespace itself, and a second one is an error."""

    def missing(*_arguments):
        raise OSError(EPERM, "no such thing")

    monkeypatch.setattr(ipc_namespace_module, "setns", missing)
    namespace = ipc_namespace(shmmni=1)
    assert namespace.descriptors() == []

    def life():
        first = make()
        with fails_with(ENOSPC):
            make()
        return first, current_namespace()

    assert namespace.fork(life).result()[1] != current_namespace()
    with pytest.raises(NotAllowedHere, match=r"a second child in an IPC namespace needs setns\(2\)"):
        namespace.fork(int)


def test_a_real_emfile_of_message_queues(ipc_namespace):
    """RLIMIT_MSGQUEUE is not a limit of the namespace; the child lowers its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mq_open"):
        pytest.skip("this libc has no mq_open")

    def life():
        import resource

        resource.setrlimit(12, (1, resource.getrlimit(12)[1]))  # RLIMIT_MSGQUEUE
        return libc.mq_open(b"/q", os.O_CREAT | os.O_RDWR, 0o600, None), ctypes.get_errno()

    assert ipc_namespace().fork(life).result() == (-1, EMFILE)


def test_the_kernels_calls_go_there_and_back(fork):
    from pytest_ipc.kernel import setns, unshare

    def life():
        before = current_namespace()
        home = os.open("/proc/self/ns/ipc", os.O_RDONLY)
        unshare(CLONE_NEWIPC)
        between = current_namespace()
        setns(home, CLONE_NEWIPC)
        with fails_with(EINVAL):
            setns(home, 0x2000_0000)
        return before, between, current_namespace()

    try:
        before, between, after = fork(life).result()
    except PermissionError as error:
        pytest.skip(f"needs CAP_SYS_ADMIN: {error}")
    assert before == after != between


def test_a_limit_on_namespaces_is_named():
    """unshare(2) reports it as ENOSPC, which sounds like a full disk."""
    refusal = ipc_namespace_module.refusal
    assert "/proc/sys/user" in refusal(OSError(errno.ENOSPC, "unshare: No space left on device"))
    assert refusal(OSError(errno.EPERM, "unshare: Operation not permitted")) == "unshare: Operation not permitted"

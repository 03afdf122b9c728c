"""mq_overview(7), getrlimit(2): the limits of message queues, per IPC namespace and per user."""

from __future__ import annotations

import os
from errno import EINVAL, EMFILE, ENOSPC
from os import O_CREAT, O_EXCL, O_RDWR
from resource import RLIM_INFINITY, RLIMIT_MSGQUEUE, getrlimit, setrlimit

import pytest

from pytest_ipc import Need, clause, fails_with, untested, unused_name
from pytest_ipc.kernel import MqAttr, limit, mq_close, mq_getattr, mq_open, mq_unlink, set_limit

from ..credentials import GROUP, change_limit
from .conftest import has_resource_capability, without_resource_capability

NEW = O_CREAT | O_EXCL | O_RDWR
SMALL = MqAttr(maxmsg=1, msgsize=16)
# An unused uid, to which no queue of another test is charged.
UNUSED_USER = 61004
HARD_MSGMAX, HARD_MSGSIZEMAX = 65536, 16 << 20


def make(attr: MqAttr | None = SMALL) -> tuple[str, int]:
    """Create a queue with an unused name in this child; return its name and descriptor."""
    name = unused_name()
    return name, mq_open(name, NEW, 0o600, attr)


def limit_bytes(most: int) -> None:
    """Set RLIMIT_MSGQUEUE of this child; untested if that fails."""
    _, highest = getrlimit(RLIMIT_MSGQUEUE)
    try:
        setrlimit(RLIMIT_MSGQUEUE, (most, most if most == RLIM_INFINITY else highest))
    except (OSError, ValueError) as error:
        untested(Need.PROCESS_LIMITS, f"cannot set RLIMIT_MSGQUEUE: {error}")


@clause("mq_open.defaults-from-proc", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_defaults_come_from_proc(in_ipc_namespace):
    """mq_open() without attributes creates a queue with msg_default messages of msgsize_default bytes."""
    wanted = {"fs/mqueue/msg_default": 3, "fs/mqueue/msgsize_default": 200}
    assert in_ipc_namespace(wanted, lambda: mq_getattr(make(None)[1])) == MqAttr(maxmsg=3, msgsize=200)


@clause("mq_open.defaults-capped-by-max", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_defaults_are_capped(in_ipc_namespace):
    """mq_open() without attributes uses msg_max and msgsize_max if the defaults are higher."""
    wanted = {
        "fs/mqueue/msg_default": 7,
        "fs/mqueue/msgsize_default": 700,
        "fs/mqueue/msg_max": 4,
        "fs/mqueue/msgsize_max": 400,
    }
    assert in_ipc_namespace(wanted, lambda: mq_getattr(make(None)[1])) == MqAttr(maxmsg=4, msgsize=400)


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        (MqAttr(maxmsg=5, msgsize=16), MqAttr(maxmsg=6, msgsize=16)),
        (MqAttr(maxmsg=1, msgsize=300), MqAttr(maxmsg=1, msgsize=301)),
    ],
    ids=["msg_max", "msgsize_max"],
)
@clause("mq_open.unpriv-ceilings-einval", "mq_open(3)", "ERRORS", errno=EINVAL)
def test_limits_of_an_unprivileged_process(in_ipc_namespace, fits, exceeds):
    """mq_open() without CAP_SYS_RESOURCE succeeds up to msg_max and msgsize_max, and fails with EINVAL above."""

    def child() -> MqAttr:
        without_resource_capability()
        with fails_with(EINVAL):
            make(exceeds)
        return mq_getattr(make(fits)[1])

    assert in_ipc_namespace({"fs/mqueue/msg_max": 5, "fs/mqueue/msgsize_max": 300}, child) == fits


@clause("mq_open.privileged-passes-ceilings", "mq_overview(7)", "/proc interfaces")
def test_cap_sys_resource_exceeds_the_limits(in_ipc_namespace):
    """mq_open() with CAP_SYS_RESOURCE creates a queue above msg_max and msgsize_max."""

    def child() -> MqAttr:
        if not has_resource_capability():
            untested(Need.CAP_SYS_RESOURCE, "needs CAP_SYS_RESOURCE")
        return mq_getattr(make(MqAttr(maxmsg=6, msgsize=301))[1])

    limits = {"fs/mqueue/msg_max": 5, "fs/mqueue/msgsize_max": 300}
    assert in_ipc_namespace(limits, child) == MqAttr(maxmsg=6, msgsize=301)


@pytest.mark.parametrize(
    "attr",
    [MqAttr(maxmsg=HARD_MSGMAX + 1, msgsize=1), MqAttr(maxmsg=1, msgsize=HARD_MSGSIZEMAX + 1)],
    ids=["HARD_MSGMAX", "HARD_MSGSIZEMAX"],
)
@clause("mq_open.hard-max-even-privileged", "mq_overview(7)", "/proc interfaces", errno=EINVAL, since="3.5")
def test_hard_limits_apply_to_all(in_ipc_namespace, attr):
    """mq_open() fails with EINVAL above 65,536 messages or above 16 MiB per message, even with CAP_SYS_RESOURCE."""

    def child() -> None:
        if not has_resource_capability():
            untested(Need.CAP_SYS_RESOURCE, "needs CAP_SYS_RESOURCE")
        limit_bytes(RLIM_INFINITY)
        with fails_with(EINVAL):
            make(attr)

    in_ipc_namespace({}, child)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("msg_max", 1, HARD_MSGMAX),
        ("msg_default", 1, HARD_MSGMAX),
        ("msgsize_max", 128, HARD_MSGSIZEMAX),
        ("msgsize_default", 128, HARD_MSGSIZEMAX),
    ],
)
@clause("mq.proc-ranges", "mq_overview(7)", "/proc interfaces", errno=EINVAL, since="3.5")
def test_ranges_of_the_limits(in_ipc_namespace, name, lowest, highest):
    """msg_max and msg_default range from 1 to 65,536, msgsize_max and
    msgsize_default from 128 bytes to 16 MiB; others fail with EINVAL.
    """

    def child() -> None:
        for good, bad in ((lowest, lowest - 1), (highest, highest + 1)):
            change_limit(f"fs/mqueue/{name}", good)
            with fails_with(EINVAL):
                set_limit(f"fs/mqueue/{name}", bad)
            assert limit(f"fs/mqueue/{name}") == good

    in_ipc_namespace({}, child)


@clause("mq.proc-defaults", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_default_limits(in_ipc_namespace):
    """By default queues_max is 256, msg_max and msg_default are 10, msgsize_max and msgsize_default are 8192."""

    def read_limits() -> dict[str, int | None]:
        names = ("queues_max", "msg_max", "msg_default", "msgsize_max", "msgsize_default")
        return {name: limit(f"fs/mqueue/{name}") for name in names}

    found = in_ipc_namespace({}, read_limits)
    if set(found.values()) == {None}:
        untested(Need.PROC_FILES, "needs /proc/sys/fs/mqueue")
    assert found == {"queues_max": 256, "msg_max": 10, "msg_default": 10, "msgsize_max": 8192, "msgsize_default": 8192}


@clause("mq_open.queues_max-enospc", "mq_open(3)", "ERRORS", errno=ENOSPC)
def test_queues_max_limits_the_queues(in_ipc_namespace):
    """mq_open() without CAP_SYS_RESOURCE fails with ENOSPC if
    queues_max queues exist, and succeeds after one is removed.
    """

    def child() -> int:
        without_resource_capability()
        name, fd = make()
        make()
        with fails_with(ENOSPC):
            make()
        mq_close(fd)
        mq_unlink(name)
        return make()[1]

    assert in_ipc_namespace({"fs/mqueue/queues_max": 2}, child) >= 0


@clause("mq_open.emfile-rlimit_msgqueue", "getrlimit(2)", "RLIMIT_MSGQUEUE", errno=EMFILE, since="2.6.8")
def test_rlimit_msgqueue_limits_the_bytes(fork, mq_name):
    """mq_open() fails with EMFILE if RLIMIT_MSGQUEUE is 0, and succeeds after the limit is restored."""

    def child() -> None:
        before, _ = getrlimit(RLIMIT_MSGQUEUE)
        limit_bytes(0)
        with fails_with(EMFILE):
            mq_open(mq_name, NEW, 0o600, SMALL)
        limit_bytes(before)
        mq_open(mq_name, NEW, 0o600, SMALL)

    fork(child).result()


@clause("mq_open.rlimit-accounting-returned", "getrlimit(2)", "RLIMIT_MSGQUEUE", since="2.6.8")
def test_queue_is_charged_until_destroyed(as_user):
    """A queue counts against RLIMIT_MSGQUEUE until it is both unlinked and closed."""
    large = MqAttr(maxmsg=10, msgsize=1000)

    def child() -> None:
        os.umask(0o077)
        limit_bytes(18_000)  # enough for one queue and not for two
        name, fd = make(large)
        try:
            with fails_with(EMFILE):
                make(large)
            mq_close(fd)
            with fails_with(EMFILE):
                make(large)
            fd = mq_open(name, O_RDWR)
        finally:
            mq_unlink(name)
        with fails_with(EMFILE):
            make(large)
        mq_close(fd)
        name, _ = make(large)
        mq_unlink(name)

    as_user(UNUSED_USER, GROUP, child)


@clause("mq.ns-isolation", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.30")
def test_namespaces_have_separate_names(posix_mq, in_ipc_namespace):
    """A name of a queue is not visible in another IPC namespace, and can be used there for another queue."""
    queue = posix_mq(maxmsg=2, msgsize=16)

    def child() -> tuple[int, int]:
        fd = mq_open(queue.name, NEW, 0o600, MqAttr(maxmsg=1, msgsize=8))
        return mq_getattr(fd).maxmsg, os.fstat(fd).st_dev

    maxmsg, device = in_ipc_namespace({}, child)
    assert (maxmsg, queue.attributes.maxmsg) == (1, 2)
    assert device != os.fstat(queue.fd).st_dev

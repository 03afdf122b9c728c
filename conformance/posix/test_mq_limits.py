"""mq_overview(7), getrlimit(2): the limits of message queues, of an IPC namespace and of a user."""

from __future__ import annotations

import os
from errno import EINVAL, EMFILE, ENOSPC
from os import O_CREAT, O_EXCL, O_RDWR
from resource import RLIM_INFINITY, RLIMIT_MSGQUEUE, getrlimit, setrlimit

import pytest

from pytest_ipc import clause, fails_with, untested, unused_name
from pytest_ipc.kernel import MqAttr, limit, mq_close, mq_getattr, mq_open, mq_unlink, set_limit

from ..credentials import GROUP, change_limit
from .conftest import has_resource_capability, without_resource_capability

NEW = O_CREAT | O_EXCL | O_RDWR
SMALL = MqAttr(maxmsg=1, msgsize=16)
# A user to whom nothing is charged yet: what others have made in this test's time must not count.
FRUGAL = 61004
HARD_MSGMAX, HARD_MSGSIZEMAX = 65536, 16 << 20


def make(attr: MqAttr | None = SMALL) -> tuple[str, int]:
    """A queue of a new name in this process, a child: its name and descriptor."""
    name = unused_name()
    return name, mq_open(name, NEW, 0o600, attr)


def limit_bytes(most: int) -> None:
    """Set RLIMIT_MSGQUEUE for this process, a child. Untested where that is refused."""
    _, highest = getrlimit(RLIMIT_MSGQUEUE)
    try:
        setrlimit(RLIMIT_MSGQUEUE, (most, most if most == RLIM_INFINITY else highest))
    except (OSError, ValueError) as error:
        untested(f"cannot set RLIMIT_MSGQUEUE: {error}")


@clause("mq_open.defaults-from-proc", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_what_is_not_said_comes_from_the_defaults(in_ipc_namespace):
    """Without attributes a new queue has the capacity msg_default and the message size msgsize_default."""
    wanted = {"fs/mqueue/msg_default": 3, "fs/mqueue/msgsize_default": 200}
    assert in_ipc_namespace(wanted, lambda: mq_getattr(make(None)[1])) == MqAttr(maxmsg=3, msgsize=200)


@clause("mq_open.defaults-capped-by-max", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_the_defaults_stay_below_the_ceilings(in_ipc_namespace):
    """A default above its ceiling counts as the ceiling."""
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
def test_an_ordinary_user_stays_below_the_ceilings(in_ipc_namespace, fits, exceeds):
    """Without CAP_SYS_RESOURCE a queue may have msg_max messages of msgsize_max bytes, and not one more."""

    def child() -> MqAttr:
        without_resource_capability()
        with fails_with(EINVAL):
            make(exceeds)
        return mq_getattr(make(fits)[1])

    assert in_ipc_namespace({"fs/mqueue/msg_max": 5, "fs/mqueue/msgsize_max": 300}, child) == fits


@clause("mq_open.privileged-passes-ceilings", "mq_overview(7)", "/proc interfaces")
def test_a_privileged_process_passes_the_ceilings(in_ipc_namespace):
    """With CAP_SYS_RESOURCE a queue may be larger than msg_max and msgsize_max."""

    def child() -> MqAttr:
        if not has_resource_capability():
            untested("needs CAP_SYS_RESOURCE")
        return mq_getattr(make(MqAttr(maxmsg=6, msgsize=301))[1])

    limits = {"fs/mqueue/msg_max": 5, "fs/mqueue/msgsize_max": 300}
    assert in_ipc_namespace(limits, child) == MqAttr(maxmsg=6, msgsize=301)


@pytest.mark.parametrize(
    "attr",
    [MqAttr(maxmsg=HARD_MSGMAX + 1, msgsize=1), MqAttr(maxmsg=1, msgsize=HARD_MSGSIZEMAX + 1)],
    ids=["HARD_MSGMAX", "HARD_MSGSIZEMAX"],
)
@clause("mq_open.hard-max-even-privileged", "mq_overview(7)", "/proc interfaces", errno=EINVAL, since="3.5")
def test_the_hard_ceilings_are_everybodys(in_ipc_namespace, attr):
    """With CAP_SYS_RESOURCE too a queue has at most 65,536 messages of at most 16 MiB."""

    def child() -> None:
        if not has_resource_capability():
            untested("needs CAP_SYS_RESOURCE")
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
def test_the_ranges_of_the_limits(in_ipc_namespace, name, lowest, highest):
    """msg_max and msg_default go from 1 to 65,536, msgsize_max and msgsize_default from 128 bytes to 16 MiB."""

    def child() -> None:
        for good, bad in ((lowest, lowest - 1), (highest, highest + 1)):
            change_limit(f"fs/mqueue/{name}", good)
            with fails_with(EINVAL):
                set_limit(f"fs/mqueue/{name}", bad)
            assert limit(f"fs/mqueue/{name}") == good

    in_ipc_namespace({}, child)


@clause("mq.proc-defaults", "mq_overview(7)", "/proc interfaces", since="3.5")
def test_the_default_limits(in_ipc_namespace):
    """By default there are 256 queues of at most 10 messages of at most 8192 bytes, which are also what a queue gets unasked."""

    def tell() -> dict[str, int | None]:
        names = ("queues_max", "msg_max", "msg_default", "msgsize_max", "msgsize_default")
        return {name: limit(f"fs/mqueue/{name}") for name in names}

    found = in_ipc_namespace({}, tell)
    if set(found.values()) == {None}:
        untested("needs /proc/sys/fs/mqueue")
    assert found == {"queues_max": 256, "msg_max": 10, "msg_default": 10, "msgsize_max": 8192, "msgsize_default": 8192}


@clause("mq_open.queues_max-enospc", "mq_open(3)", "ERRORS", errno=ENOSPC)
def test_there_are_at_most_queues_max_queues(in_ipc_namespace):
    """Without CAP_SYS_RESOURCE queues_max queues can exist and not one more; when one is removed there is room for another."""

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
def test_a_users_queues_have_so_many_bytes(fork, mq_name):
    """A process with a RLIMIT_MSGQUEUE of 0 makes no queue, however small; with its limit back it does."""

    def child() -> None:
        before, _ = getrlimit(RLIMIT_MSGQUEUE)
        limit_bytes(0)
        with fails_with(EMFILE):
            mq_open(mq_name, NEW, 0o600, SMALL)
        limit_bytes(before)
        mq_open(mq_name, NEW, 0o600, SMALL)

    fork(child).result()


@clause("mq_open.rlimit-accounting-returned", "getrlimit(2)", "RLIMIT_MSGQUEUE", since="2.6.8")
def test_what_a_queue_costs_is_charged_until_it_is_gone(as_user):
    """A queue counts against RLIMIT_MSGQUEUE until it is destroyed: not to its close, and not only to its unlinking."""
    large = MqAttr(maxmsg=10, msgsize=1000)

    def child() -> None:
        os.umask(0o077)
        limit_bytes(18_000)  # room for one of them and not for two
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

    as_user(FRUGAL, GROUP, child)


@clause("mq.ns-isolation", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.30")
def test_a_queue_is_not_found_in_another_namespace(posix_mq, in_ipc_namespace):
    """A name leads to no queue of another IPC namespace, and can be given to one there."""
    queue = posix_mq(maxmsg=2, msgsize=16)

    def child() -> tuple[int, int]:
        fd = mq_open(queue.name, NEW, 0o600, MqAttr(maxmsg=1, msgsize=8))
        return mq_getattr(fd).maxmsg, os.fstat(fd).st_dev

    maxmsg, device = in_ipc_namespace({}, child)
    assert (maxmsg, queue.attributes.maxmsg) == (1, 2)
    assert device != os.fstat(queue.fd).st_dev

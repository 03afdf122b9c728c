"""mq_open(3), mq_overview(7): creating and opening message queues."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EACCES, EBADF, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT
from os import O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MqAttr, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink

from ..conftest import succeeded
from ..credentials import GROUP, MEMBER, OTHER_GROUP, OWNER, STRANGER, become
from ..on_record import ReservedName

NEW = O_CREAT | O_EXCL | O_RDWR
SMALL = MqAttr(maxmsg=2, msgsize=16)


@clause("mq_open.create-attr", "mq_open(3)", "DESCRIPTION")
def test_new_queue_has_the_attributes_given(opened_mq, mq_name):
    """mq_open() with O_CREAT creates an empty queue with the mq_maxmsg and mq_msgsize given."""
    queue = opened_mq(mq_name, NEW, 0o600, MqAttr(maxmsg=3, msgsize=77))
    assert mq_getattr(queue) == MqAttr(flags=0, maxmsg=3, msgsize=77, curmsgs=0)


@clause("mq_open.other-attr-ignored", "mq_open(3)", "DESCRIPTION")
def test_other_attributes_are_ignored(opened_mq, mq_name):
    """mq_open() ignores mq_flags and mq_curmsgs of the attributes of a new queue."""
    queue = opened_mq(mq_name, NEW, 0o600, MqAttr(flags=os.O_NONBLOCK, maxmsg=3, msgsize=77, curmsgs=2))
    assert mq_getattr(queue) == MqAttr(flags=0, maxmsg=3, msgsize=77, curmsgs=0)


@clause("mq_open.nonblock-flag", "mq_open(3)", "DESCRIPTION")
def test_nonblock_belongs_to_the_descriptor(posix_mq, opened_mq):
    """mq_open() with O_NONBLOCK sets it for that open description only."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    assert mq_getattr(opened_mq(queue.name, O_RDWR | os.O_NONBLOCK)).flags == os.O_NONBLOCK
    assert mq_getattr(queue.fd).flags == 0


@pytest.mark.parametrize(
    "attr",
    [
        MqAttr(maxmsg=0, msgsize=1),
        MqAttr(maxmsg=-1, msgsize=1),
        MqAttr(maxmsg=1, msgsize=0),
        MqAttr(maxmsg=1, msgsize=-1),
    ],
    ids=["no messages", "less than no messages", "no bytes", "less than no bytes"],
)
@clause("mq_open.einval-attr", "mq_open(3)", "ERRORS", errno=EINVAL)
def test_sizes_below_1_fail(mq_name, attr):
    """mq_open() with O_CREAT fails with EINVAL for a mq_maxmsg or mq_msgsize of 0 or less, and creates no queue."""
    with fails_with(EINVAL):
        mq_open(mq_name, NEW, 0o600, attr)
    with fails_with(ENOENT):
        mq_open(mq_name, O_RDONLY)


@clause("mq_open.name-no-slash-einval", "mq_open(3)", "ERRORS", errno=EINVAL)
def test_name_without_slash_fails(mq_name):
    """mq_open() fails with EINVAL for a name that does not begin with a slash."""
    with fails_with(EINVAL):
        mq_open(mq_name[1:], NEW, 0o600, SMALL)


@clause("mq_open.name-two-slashes-eacces", "mq_open(3)", "ERRORS", errno=EACCES)
def test_name_with_second_slash_fails(mq_name):
    """mq_open() fails with EACCES for a name with a second slash."""
    for wrong in (f"/{mq_name}", f"{mq_name}/x"):
        with fails_with(EACCES):
            mq_open(wrong, NEW, 0o600, SMALL)


@clause("mq_open.name-slash-only-enoent", "mq_open(3)", "ERRORS", errno=ENOENT)
def test_slash_alone_fails():
    """mq_open() fails with ENOENT for the name "/"."""
    with fails_with(ENOENT):
        mq_open("/", NEW, 0o600, SMALL)


@clause("mq_open.name-255-ok", "mq_overview(7)", "DESCRIPTION")
def test_name_of_255_characters(opened_mq, ipc_scope):
    """mq_open() accepts a name of 255 characters."""
    longest = ReservedName.mq(ipc_scope.scope, 254).name
    assert len(longest) == 255
    opened_mq(longest, NEW, 0o600, SMALL)
    mq_unlink(longest)


@clause("mq_open.name-256-enametoolong", "mq_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_longer_name_fails(mq_name):
    """mq_open() fails with ENAMETOOLONG for a name of 257 characters."""
    with fails_with(ENAMETOOLONG):
        mq_open(mq_name.ljust(257, "n"), NEW, 0o600, SMALL)


@clause("mq_open.name-leads-to-it", "mq_overview(7)", "DESCRIPTION")
def test_unrelated_programs_share_a_queue_by_name(posix_mq, program):
    """Programs that share only the name of a queue use the same queue."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    source = (
        "import os, sys, pytest_ipc.kernel as ipc\nipc.mq_send(ipc.mq_open(sys.argv[1], os.O_WRONLY), b'message', 3)\n"
    )
    succeeded(program(source, queue.name))
    assert mq_receive(queue.fd, 16) == (b"message", 3)


@clause("mq_open.excl-eexist", "mq_open(3)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_name_exists(posix_mq):
    """mq_open() with O_CREAT | O_EXCL fails with EEXIST if a queue has the name, and does not change it."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    before = os.fstat(queue.fd)
    with fails_with(EEXIST):
        mq_open(queue.name, NEW, 0o666, MqAttr(maxmsg=1, msgsize=1))
    assert (queue.attributes.maxmsg, os.fstat(queue.fd)) == (2, before)


@clause("mq_open.enoent", "mq_open(3)", "ERRORS", errno=ENOENT)
def test_unused_name_fails(mq_name):
    """mq_open() without O_CREAT fails with ENOENT for a name that no queue has, and creates none."""
    for _ in range(2):
        with fails_with(ENOENT):
            mq_open(mq_name, O_RDWR)


@pytest.mark.parametrize(
    ("mode", "user", "allowed"),
    [
        (0o400, (OWNER, OTHER_GROUP), {O_RDONLY}),
        (0o200, (OWNER, OTHER_GROUP), {O_WRONLY}),
        (0o060, (OWNER, GROUP), set()),
        (0o060, (MEMBER, GROUP), {O_RDONLY, O_WRONLY, O_RDWR}),
        (0o606, (MEMBER, GROUP), set()),
        (0o004, (STRANGER, OTHER_GROUP), {O_RDONLY}),
        (0o660, (STRANGER, OTHER_GROUP), set()),
    ],
    ids=[
        "owner reads",
        "owner writes",
        "owner not by group",
        "group",
        "group not by others",
        "others read",
        "others not",
    ],
)
@clause("mq_open.eacces", "mq_open(3)", "ERRORS", errno=EACCES)
def test_mode_is_checked_at_open(posix_mq, as_user, mode, user, allowed):
    """mq_open() succeeds with the access modes that the mode of the queue
    grants to the caller's class, and otherwise fails with EACCES.
    """
    queue = posix_mq(maxmsg=2, msgsize=16, mode=0)
    with suppress(OSError):  # as_user reports the unmet need
        os.chown(queue.fd, OWNER, GROUP)
        os.chmod(queue.fd, mode)

    def child() -> set[int]:
        may = set()
        for flags in (O_RDONLY, O_WRONLY, O_RDWR):
            try:
                mq_open(queue.name, flags)
            except OSError as error:
                if error.errno != EACCES:
                    raise
            else:
                may.add(flags)
        return may

    assert as_user(*user, child) == allowed


@clause("mq_open.emfile-rlimit_nofile", "mq_open(3)", "ERRORS", errno=EMFILE)
def test_open_needs_a_free_descriptor(fork, mq_name):
    """mq_open() fails with EMFILE at the limit of open descriptors, and creates no queue."""

    def child() -> None:
        free = os.dup(0)
        os.close(free)
        limits = getrlimit(RLIMIT_NOFILE)
        setrlimit(RLIMIT_NOFILE, (free, limits[1]))
        with fails_with(EMFILE):
            mq_open(mq_name, NEW, 0o600, SMALL)
        setrlimit(RLIMIT_NOFILE, limits)
        with fails_with(ENOENT):
            mq_open(mq_name, O_RDWR)

    fork(child).result()


@clause("mq_open.umask", "mq_open(3)", "DESCRIPTION", since="2.6.14", level="posix")
def test_umask_clears_permissions(fork, mq_name):
    """mq_open() clears the bits of the umask from the mode of a new queue."""

    def child() -> int:
        os.umask(0o027)
        return os.fstat(mq_open(mq_name, NEW, 0o666, SMALL)).st_mode & 0o777

    assert fork(child).result() == 0o640


@clause("mq_open.owner-effective-ids", "mq_open(3)", "DESCRIPTION")
def test_new_queue_has_the_effective_ids(fork, mq_name):
    """mq_open() sets owner and group of a new queue to the effective user and group IDs of the caller."""

    def child() -> tuple[int, int]:
        become(OWNER, OTHER_GROUP)
        status = os.fstat(mq_open(mq_name, NEW, 0o600, SMALL))
        return status.st_uid, status.st_gid

    assert fork(child).result() == (OWNER, OTHER_GROUP)


@clause("mq_open.cloexec-always", "mq_overview(7)", "Linux implementation of message queue descriptors")
def test_descriptor_is_close_on_exec(posix_mq, opened_mq):
    """mq_open() sets the close-on-exec flag on the descriptor."""
    assert not os.get_inheritable(opened_mq(posix_mq(maxmsg=2, msgsize=16).name, O_RDWR))


@clause("mq_open.existing-attr-ignored", "mq_open(3)", "DESCRIPTION")
def test_creat_opens_an_existing_queue_unchanged(posix_mq, opened_mq):
    """mq_open() with O_CREAT opens an existing queue of the name, ignoring the attributes and the mode given."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    before = os.fstat(queue.fd)
    found = opened_mq(queue.name, O_CREAT | O_RDWR, 0o666, MqAttr(maxmsg=1, msgsize=1))
    assert (mq_getattr(found), os.fstat(found)) == (queue.attributes, before)


@clause("mq_open.rdonly-cannot-send", "mq_send(3)", "ERRORS", errno=EBADF)
def test_read_only_descriptor_cannot_send(posix_mq, opened_mq):
    """mq_send() to a descriptor opened with O_RDONLY fails with EBADF, and mq_receive() succeeds."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    queue.send(b"message")
    reader = opened_mq(queue.name, O_RDONLY)
    with fails_with(EBADF):
        mq_send(reader, b"another")
    assert mq_receive(reader, 16) == (b"message", 0)
    assert queue.attributes.curmsgs == 0


@clause("mq_open.wronly-cannot-receive", "mq_receive(3)", "ERRORS", errno=EBADF)
def test_write_only_descriptor_cannot_receive(posix_mq, opened_mq):
    """mq_receive() from a descriptor opened with O_WRONLY fails with EBADF, and mq_send() succeeds."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    writer = opened_mq(queue.name, O_WRONLY)
    mq_send(writer, b"message")
    with fails_with(EBADF):
        mq_receive(writer, 16)
    assert queue.attributes.curmsgs == 1

"""mq_open(3), mq_overview(7): making and finding message queues."""

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
def test_a_new_queue_is_as_it_was_asked_for(opened_mq, mq_name):
    """A new queue has the capacity and the message size that were asked for, and is empty."""
    queue = opened_mq(mq_name, NEW, 0o600, MqAttr(maxmsg=3, msgsize=77))
    assert mq_getattr(queue) == MqAttr(flags=0, maxmsg=3, msgsize=77, curmsgs=0)


@clause("mq_open.other-attr-ignored", "mq_open(3)", "DESCRIPTION")
def test_the_other_attributes_are_ignored(opened_mq, mq_name):
    """The flags and the count of messages given for a new queue are ignored."""
    queue = opened_mq(mq_name, NEW, 0o600, MqAttr(flags=os.O_NONBLOCK, maxmsg=3, msgsize=77, curmsgs=2))
    assert mq_getattr(queue) == MqAttr(flags=0, maxmsg=3, msgsize=77, curmsgs=0)


@clause("mq_open.nonblock-flag", "mq_open(3)", "DESCRIPTION")
def test_a_queue_can_be_opened_nonblocking(posix_mq, opened_mq):
    """O_NONBLOCK counts for the descriptor that it was opened with, and for no other."""
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
def test_sizes_must_be_above_0(mq_name, attr):
    """A queue of no messages, or of messages of no bytes, is refused, and nothing is made."""
    with fails_with(EINVAL):
        mq_open(mq_name, NEW, 0o600, attr)
    with fails_with(ENOENT):
        mq_open(mq_name, O_RDONLY)


@clause("mq_open.name-no-slash-einval", "mq_open(3)", "ERRORS", errno=EINVAL)
def test_a_name_begins_with_a_slash(mq_name):
    """A name without a slash at its beginning is refused."""
    with fails_with(EINVAL):
        mq_open(mq_name[1:], NEW, 0o600, SMALL)


@clause("mq_open.name-two-slashes-eacces", "mq_open(3)", "ERRORS", errno=EACCES)
def test_a_name_has_one_slash(mq_name):
    """A name with another slash is refused, wherever it stands."""
    for wrong in (f"/{mq_name}", f"{mq_name}/x"):
        with fails_with(EACCES):
            mq_open(wrong, NEW, 0o600, SMALL)


@clause("mq_open.name-slash-only-enoent", "mq_open(3)", "ERRORS", errno=ENOENT)
def test_a_slash_alone_is_no_name():
    """A name of a slash and nothing after it is refused."""
    with fails_with(ENOENT):
        mq_open("/", NEW, 0o600, SMALL)


@clause("mq_open.name-255-ok", "mq_overview(7)", "DESCRIPTION")
def test_the_longest_name(opened_mq, ipc_scope):
    """A name of 255 characters is taken."""
    longest = ReservedName.mq(ipc_scope.scope, 254).name
    assert len(longest) == 255
    opened_mq(longest, NEW, 0o600, SMALL)
    mq_unlink(longest)


@clause("mq_open.name-256-enametoolong", "mq_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_a_name_that_is_too_long(mq_name):
    """A name with more than 255 characters after its slash is refused."""
    with fails_with(ENAMETOOLONG):
        mq_open(mq_name.ljust(257, "n"), NEW, 0o600, SMALL)


@clause("mq_open.name-leads-to-it", "mq_overview(7)", "DESCRIPTION")
def test_two_processes_meet_by_name(posix_mq, program):
    """Programs that have nothing in common but the name operate on the same queue."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    source = "import os, sys, pytest_ipc.kernel as ipc\nipc.mq_send(ipc.mq_open(sys.argv[1], os.O_WRONLY), b'from afar', 3)\n"
    succeeded(program(source, queue.name))
    assert mq_receive(queue.fd, 16) == (b"from afar", 3)


@clause("mq_open.excl-eexist", "mq_open(3)", "ERRORS", errno=EEXIST)
def test_excl_fails_when_the_name_is_taken(posix_mq):
    """O_CREAT with O_EXCL fails when a queue of that name exists, and leaves it as it was."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    before = os.fstat(queue.fd)
    with fails_with(EEXIST):
        mq_open(queue.name, NEW, 0o666, MqAttr(maxmsg=1, msgsize=1))
    assert (queue.attributes.maxmsg, os.fstat(queue.fd)) == (2, before)


@clause("mq_open.enoent", "mq_open(3)", "ERRORS", errno=ENOENT)
def test_a_name_that_nobody_has_is_not_found(mq_name):
    """A name that no queue has fails without O_CREAT, and makes nothing."""
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
def test_the_mode_decides_who_may_open(posix_mq, as_user, mode, user, allowed):
    """A queue can be opened to receive, to send or for both only by whom its mode gives that."""
    queue = posix_mq(maxmsg=2, msgsize=16, mode=0)
    with suppress(OSError):  # as_user says what is missing
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
def test_a_queue_needs_a_descriptor(fork, mq_name):
    """A process that has as many descriptors as RLIMIT_NOFILE allows gets no queue, and none is made."""

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
def test_the_umask_takes_bits_away(fork, mq_name):
    """The mode of a new queue is the one given less the umask."""

    def child() -> int:
        os.umask(0o027)
        return os.fstat(mq_open(mq_name, NEW, 0o666, SMALL)).st_mode & 0o777

    assert fork(child).result() == 0o640


@clause("mq_open.owner-effective-ids", "mq_open(3)", "DESCRIPTION")
def test_the_maker_owns_it(fork, mq_name):
    """Owner and group of a new queue are the effective ones of its maker."""

    def child() -> tuple[int, int]:
        become(OWNER, OTHER_GROUP)
        status = os.fstat(mq_open(mq_name, NEW, 0o600, SMALL))
        return status.st_uid, status.st_gid

    assert fork(child).result() == (OWNER, OTHER_GROUP)


@clause("mq_open.cloexec-always", "mq_overview(7)", "Linux implementation of message queue descriptors")
def test_the_descriptor_is_closed_on_exec(posix_mq, opened_mq):
    """The close-on-exec flag is set on the descriptor of a queue without being asked for."""
    assert not os.get_inheritable(opened_mq(posix_mq(maxmsg=2, msgsize=16).name, O_RDWR))


@clause("mq_open.existing-attr-ignored", "mq_open(3)", "DESCRIPTION")
def test_creat_finds_what_exists_as_it_is(posix_mq, opened_mq):
    """O_CREAT with the name of an existing queue opens that one; the attributes and the mode given do not change it."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    before = os.fstat(queue.fd)
    found = opened_mq(queue.name, O_CREAT | O_RDWR, 0o666, MqAttr(maxmsg=1, msgsize=1))
    assert (mq_getattr(found), os.fstat(found)) == (queue.attributes, before)


@clause("mq_open.rdonly-cannot-send", "mq_send(3)", "ERRORS", errno=EBADF)
def test_a_descriptor_to_receive_cannot_send(posix_mq, opened_mq):
    """A descriptor that was opened with O_RDONLY receives and cannot send."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    queue.send(b"message")
    reader = opened_mq(queue.name, O_RDONLY)
    with fails_with(EBADF):
        mq_send(reader, b"another")
    assert mq_receive(reader, 16) == (b"message", 0)
    assert queue.attributes.curmsgs == 0


@clause("mq_open.wronly-cannot-receive", "mq_receive(3)", "ERRORS", errno=EBADF)
def test_a_descriptor_to_send_cannot_receive(posix_mq, opened_mq):
    """A descriptor that was opened with O_WRONLY sends and cannot receive."""
    queue = posix_mq(maxmsg=2, msgsize=16)
    writer = opened_mq(queue.name, O_WRONLY)
    mq_send(writer, b"message")
    with fails_with(EBADF):
        mq_receive(writer, 16)
    assert queue.attributes.curmsgs == 1

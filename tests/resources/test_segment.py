"""System V segments and attachments: ownership, removal and leftovers."""

from __future__ import annotations

import os
import re
from mmap import PAGESIZE

import pytest

import pytest_ipc.resources.sysv
from pytest_ipc import Segment, scope, unused_key
from pytest_ipc.custody.ledger import intent
from pytest_ipc.custody.namespaces import ipc_identity
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    IPC_CREAT,
    IPC_PRIVATE,
    SHM_RDONLY,
    shmctl_rmid,
    shmdt,
    shmget,
    sysvipc_shm,
    unshare,
)


def test_a_segment_lives_as_long_as_its_block():
    with Segment.create(5000) as segment:
        assert (segment.exists(), segment.size, segment.stat().segsz) == (True, 5000, 5000)
        assert shmget(segment.key, 0, 0) == segment.id
        assert repr(segment) == f"<Segment id={segment.id} key={segment.key:#x} size=5000>"
    assert not segment.exists()


def test_a_segment_of_unknown_size_is_opened():
    with Segment.create(100) as small, Segment.create(10_000) as large:
        for segment in (small, large):
            for flags in (0, IPC_CREAT):
                with Segment.create(key=segment.key, flags=flags) as found, found.attach() as attachment:
                    assert (found.id, found.size, len(attachment.buf)) == (segment.id, segment.size, segment.size)
        with pytest.raises(OSError, match="Invalid argument"):
            Segment.create(4096, key=small.key, flags=0)  # a size that was given is asked for
    with Segment.create(key=IPC_PRIVATE, flags=0) as private:
        assert private.stat().segsz == 4096


def test_bytes_written_through_one_attachment_are_read_through_another():
    with Segment.create(5000) as segment:
        first, second = segment.attach(), segment.attach()
        first.buf[4999] = 7
        assert (second.buf[4999], len(second.buf), second.mapped) == (7, 5000, -(-5000 // PAGESIZE) * PAGESIZE)
        assert segment.stat().nattch == 2
        first.detach()
        assert (segment.stat().nattch, segment.attachments) == (1, [second])
    assert second.closed


def test_a_read_only_attachment_has_a_read_only_view():
    with Segment.create() as segment:
        view = segment.attach(flags=SHM_RDONLY).buf
        assert (view.readonly, view[0]) == (True, 0)
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 1


def test_a_detached_attachment_cannot_be_used():
    with Segment.create() as segment:
        attachment = segment.attach()
        attachment.detach()
        for use in (lambda: attachment.buf, attachment.detach):
            with pytest.raises(ValueError, match="is closed"):
                use()


def test_an_attachment_is_detached_though_something_still_looks_at_it():
    with Segment.create() as segment:
        attachment = segment.attach()
        match = re.match(b"\0", attachment.buf)
        attachment.detach()
        assert segment.stat().nattch == 0
        assert match is not None


def test_only_one_removal_is_the_one():
    with Segment.create() as segment:
        other = Segment.create(key=segment.key, flags=0)
        assert [other.remove(), other.remove(), segment.remove(), segment.remove()] == [True, False, False, False]
        assert not segment.exists()


def test_foreign_removal_is_harmless():
    with Segment.create() as segment:
        shmctl_rmid(segment.id)
        assert not segment.remove()


@pytest.mark.parametrize("flags", [0, IPC_CREAT])
def test_a_segment_that_was_found_is_not_removed(flags):
    with Segment.create(8192) as theirs:
        with Segment.create(100, key=theirs.key, flags=flags) as found:
            assert (found.id, found.size) == (theirs.id, 8192)
            found.attach()
        assert theirs.exists()
        assert theirs.stat().nattch == 0


def test_creat_without_excl_owns_a_new_object():
    with Segment.create(key=unused_key(), flags=IPC_CREAT) as segment:
        assert segment.exists()
    assert not segment.exists()


def test_a_private_segment_is_removed_too():
    with Segment.create(key=IPC_PRIVATE, flags=0) as segment:
        assert (segment.key, segment.stat().perm.key) == (0, 0)
    assert not segment.exists()


def test_missing_object_is_not_created_without_creat():
    key = unused_key()
    with pytest.raises(FileNotFoundError):
        Segment.create(key=key, flags=0)
    with pytest.raises(FileNotFoundError):
        shmget(key, 0, 0)


def test_owner_and_mode_can_be_changed():
    with Segment.create() as segment:
        segment.set_status(mode=0o640)
        assert segment.stat().perm.mode & 0o777 == 0o640
        with pytest.raises(ValueError, match="0o1640"):
            segment.set_status(mode=0o1640)


def test_lost_attachment_does_not_keep_the_segment():
    segment = Segment.create()
    first, second, third = segment.attach(), segment.attach(), segment.attach()
    shmdt(second.address)
    with pytest.raises(OSError, match="shmdt"):
        segment.close()
    assert (first.closed, second.closed, third.closed, segment.exists()) == (True, True, True, False)


def test_a_child_detaches_its_own_copy():
    with scope() as ipc:
        segment = ipc.sysv_shm()
        attachment = segment.attach()

        def life():
            attachment.close()
            still = segment.stat().nattch
            attachment.detach()
            return still, segment.stat().nattch

        assert ipc.fork(life).result() == (2, 1)
        assert (attachment.closed, segment.stat().nattch) == (False, 1)


def test_keys_are_not_drawn_twice():
    keys = {unused_key() for _ in range(1000)}
    assert len(keys) > 990
    assert all(0 < key < 1 << 31 for key in keys)


def test_foreign_segment_is_kept_and_its_removal_explained(fork):
    try:
        fork(os.setresuid, 65533, 65533, 65533).result()
    except PermissionError as error:
        pytest.skip(f"needs a second user: setresuid: {error.strerror}")

    def life():
        with Segment.create() as segment:
            os.setresuid(65533, 65533, 65533)
            try:
                segment.remove()
            except PermissionError as error:
                note = error.__notes__[0]
            os._exit(0 if f"ipcrm -m {segment.id}" in note else 1)

    child = fork(life)
    try:
        assert child.wait() == 0
    finally:
        for row in sysvipc_shm() or ():
            if row.cpid == child.pid:
                shmctl_rmid(row.shmid)


def test_the_record_names_the_namespace_that_the_segment_is_in(fork, monkeypatch):
    named = []

    def noting(kind, **details):
        named.append(details["ipc"])
        return intent(kind, **details)

    monkeypatch.setattr(pytest_ipc.resources.sysv, "intent", noting)

    def life():
        places = [ipc_identity()]
        Segment.create().close()
        try:
            unshare(CLONE_NEWIPC)
        except PermissionError:
            return None
        Segment.create().close()
        return named, [*places, ipc_identity()]

    Segment.create().close()
    here = named.pop()
    reported = fork(life).result()
    if reported is None:
        pytest.skip("no new IPC namespace without the privilege")
    assert reported[0] == reported[1]
    assert (here, len(set(reported[1]))) == (reported[1][0], 2)

"""shmop(2): attaching and detaching, and the address at which it happens."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from errno import EACCES, EIDRM, EINVAL

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import (
    PROT_READ,
    PROT_WRITE,
    SHM_EXEC,
    SHM_RDONLY,
    SHM_REMAP,
    SHM_RND,
    errno_name,
    mprotect,
    shmat,
    shmctl_rmid,
    shmdt,
    shmlba,
)

from ..memory import free_range, mapped, peek, poke


@clause("shmat.null-addr-page-aligned", "shmop(2)", "DESCRIPTION")
def test_the_system_chooses_an_aligned_address(sysv_shm, page):
    """With no address asked for, the system chooses one that is aligned to pages."""
    assert sysv_shm(3 * page).attach().address % page == 0


@clause("shmat.null-addr-unused", "shmop(2)", "DESCRIPTION")
def test_the_system_chooses_an_unused_address(sysv_shm, page):
    """With no address asked for, the system chooses a place where nothing was mapped."""
    before = mapped()
    address = sysv_shm(3 * page).attach().address
    assert not any(start < address + 3 * page and address < end for start, end in before)


@clause("shmat.exact-aligned-address", "shmop(2)", "DESCRIPTION")
def test_an_aligned_address_is_taken_as_it_is(sysv_shm):
    """An address that is a multiple of SHMLBA, and free, is the address of the attachment."""
    address = free_range(shmlba(), shmlba())
    attachment = sysv_shm().attach(address)
    assert attachment.address == address
    attachment.buf[0] = 7
    assert peek(address, 1) == b"\x07"


@clause("shmat.rnd-rounds-down", "shmop(2)", "DESCRIPTION")
def test_rnd_rounds_down_to_shmlba(sysv_shm):
    """With SHM_RND an address between two multiples of SHMLBA is rounded down to the lower one."""
    address = free_range(shmlba(), shmlba())
    segment = sysv_shm()
    for offset in (shmlba() - 1, 1):
        attachment = segment.attach(address + offset, SHM_RND)
        assert attachment.address == address
        attachment.detach()


@clause("shmat.unaligned-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_an_unaligned_address_is_refused(sysv_shm):
    """Without SHM_RND an address that is no multiple of SHMLBA is refused, and nothing is attached."""
    address = free_range(shmlba(), shmlba())
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, address + 1)
    assert segment.stat().nattch == 0


@clause("shmat.occupied-addr-einval", "shmop(2)", "SHM_REMAP", errno=EINVAL)
def test_an_occupied_address_is_refused(sysv_shm):
    """Attaching where something is mapped fails without SHM_REMAP, and what is mapped there stays."""
    there = sysv_shm().attach()
    there.buf[0] = 7
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, there.address)
    assert (there.buf[0], segment.stat().nattch) == (7, 0)


@clause("shmat.remap-replaces", "shmop(2)", "SHM_REMAP")
def test_remap_replaces_what_is_there(sysv_shm, fork):
    """With SHM_REMAP the segment takes the place of what is mapped at the address."""
    there, new = sysv_shm(), sysv_shm()

    def replace() -> tuple[bytes, bytes, int]:
        address = shmat(there.id)
        poke(address, 7)
        before = peek(address, 1)
        shmat(new.id, address, SHM_REMAP)
        return before, peek(address, 1), there.stat().nattch

    assert fork(replace).result() == (b"\x07", b"\x00", 0)


@clause("shmat.remap-null-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_remap_needs_an_address(sysv_shm):
    """SHM_REMAP without an address is refused."""
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, None, SHM_REMAP)
    assert segment.stat().nattch == 0


@clause("shmat.bad-id-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_an_id_of_no_segment_is_refused():
    """An identifier that no segment has or can have is refused."""
    with fails_with(EINVAL):
        shmat(-1)


@clause("shmat.removed-id-eidrm", "shmop(2)", "ERRORS", errno=EIDRM, disputed="EINVAL")
def test_the_id_of_a_removed_segment_is_refused(sysv_shm):
    """The identifier of a segment that was removed and is gone cannot be attached."""
    segment = sysv_shm()
    segment.remove()
    with pytest.raises(OSError) as failure:
        shmat(segment.id)
    assert failure.value.errno in (EIDRM, EINVAL), errno_name(failure.value.errno)
    if failure.value.errno == EINVAL:
        disputed(manual="EIDRM", linux="answers EINVAL, as for an id that never was")


@clause("shmat.rdonly-write-sigsegv", "shmop(2)", "SHM_RDONLY")
def test_a_read_only_attachment_cannot_be_written(sysv_shm, fork):
    """A store through an attachment made with SHM_RDONLY is a SIGSEGV, and changes nothing."""
    segment = sysv_shm()
    writable, read_only = segment.attach(), segment.attach(flags=SHM_RDONLY)
    writable.buf[0] = 7
    assert read_only.buf[0] == 7
    assert fork(poke, read_only.address, 8).wait() == -signal.SIGSEGV
    assert writable.buf[0] == 7


@clause("shmat.rdonly-mprotect-write-eacces", "mprotect(2)", "ERRORS", errno=EACCES)
def test_a_read_only_attachment_cannot_be_made_writable(sysv_shm, page):
    """mprotect cannot add the right to write to an attachment made with SHM_RDONLY."""
    attachment = sysv_shm(page).attach(flags=SHM_RDONLY)
    with fails_with(EACCES):
        mprotect(attachment.address, page, PROT_READ | PROT_WRITE)


@clause("shmat.exec-flag", "shmop(2)", "SHM_EXEC")
def test_exec_makes_the_memory_executable(sysv_shm):
    """An attachment made with SHM_EXEC may be executed, one made without may not."""
    segment = sysv_shm(mode=0o700)
    plain, executable = segment.attach(), segment.attach(flags=SHM_EXEC)
    rights = dict(_rights())
    assert (rights[plain.address], rights[executable.address]) == ("rw-s", "rwxs")


def _rights() -> Iterator[tuple[int, str]]:
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, flags, *_ = line.split()
            yield int(span.partition("-")[0], 16), flags


@clause("shmat.twice-two-addresses", "shmop(2)", "DESCRIPTION")
def test_a_segment_can_be_attached_more_than_once(sysv_shm):
    """One process may attach a segment several times, to read and to write, at different addresses with one content."""
    segment = sysv_shm()
    first, second, third = segment.attach(), segment.attach(), segment.attach(flags=SHM_RDONLY)
    assert len({first.address, second.address, third.address}) == 3
    first.buf[0], second.buf[1] = 1, 2
    assert bytes(third.buf[:2]) == b"\x01\x02"
    assert segment.stat().nattch == 3


@clause("shmat.updates-atime-lpid-nattch", "shmop(2)", "DESCRIPTION")
def test_attaching_is_entered_in_the_books(sysv_shm):
    """Attaching sets the time of attach and the last user, and counts one attachment more."""
    segment = sysv_shm()
    before = int(time.time()) - 1
    segment.attach()
    ds = segment.stat()
    assert (ds.lpid, ds.nattch, ds.dtime) == (os.getpid(), 1, 0)
    assert before <= ds.atime <= time.time()


@clause("shmat.brk-unaltered", "shmop(2)", "DESCRIPTION")
def test_attaching_moves_no_break(sysv_shm):
    """Attaching does not move the end of the data segment."""
    sbrk = ctypes.CDLL(None).sbrk
    sbrk.restype = ctypes.c_void_p
    segment = sysv_shm(1 << 20)
    before = sbrk(0)
    address = shmat(segment.id)
    after = sbrk(0)
    shmdt(address)
    assert after == before


@clause("shmat.attach-after-rmid-by-id", "shmop(2)", "NOTES")
def test_a_removed_segment_in_use_can_still_be_attached(sysv_shm):
    """A segment marked for destruction can be attached by its identifier as long as somebody holds it."""
    segment = sysv_shm()
    first = segment.attach()
    first.buf[0] = 7
    shmctl_rmid(segment.id)
    assert segment.attach().buf[0] == 7


@clause("shmdt.unmaps-sigsegv", "shmop(2)", "DESCRIPTION")
def test_detached_memory_is_gone(sysv_shm, fork):
    """After the detach the memory is no longer there: a store is a SIGSEGV."""
    segment = sysv_shm()

    def touch_after_detach() -> None:
        address = shmat(segment.id)
        poke(address, 1)
        shmdt(address)
        poke(address, 1)

    assert fork(touch_after_detach).wait() == -signal.SIGSEGV


@clause("shmdt.einval-not-attached", "shmop(2)", "ERRORS", errno=EINVAL)
def test_detaching_where_nothing_is_attached(page):
    """Detaching an address at which no segment is attached is refused."""
    with fails_with(EINVAL):
        shmdt(free_range(page))


@clause("shmdt.einval-unaligned", "shmop(2)", "ERRORS", errno=EINVAL)
def test_detaching_an_unaligned_address(sysv_shm):
    """Detaching an address that is not aligned to pages is refused, and the segment stays attached."""
    attachment = sysv_shm().attach()
    with fails_with(EINVAL):
        shmdt(attachment.address + 1)
    assert attachment.segment.stat().nattch == 1


@clause("shmdt.mid-segment-einval", "shmop(2)", "DESCRIPTION", errno=EINVAL)
def test_detaching_an_address_inside_a_segment(sysv_shm, page):
    """Detaching needs the address that attaching gave: one inside the attachment is refused."""
    attachment = sysv_shm(3 * page).attach()
    with fails_with(EINVAL):
        shmdt(attachment.address + page)
    assert attachment.segment.stat().nattch == 1
    assert peek(attachment.address, 3 * page) == bytes(3 * page)


@clause("shmdt.updates-dtime-lpid-nattch", "shmop(2)", "DESCRIPTION")
def test_detaching_is_entered_in_the_books(sysv_shm, fork):
    """Detaching sets the time of detach and the last user, and counts one attachment less."""
    segment = sysv_shm()
    segment.attach()
    before = int(time.time()) - 1

    def attach_and_detach() -> int:
        shmdt(shmat(segment.id))
        return os.getpid()

    pid = fork(attach_and_detach).result()
    segment.attachments[0].detach()
    ds = segment.stat()
    assert (ds.lpid, ds.nattch) == (os.getpid(), 0)
    assert pid != ds.lpid
    assert before <= ds.dtime <= time.time()


@clause("shmdt.content-persists", "shmop(2)", "DESCRIPTION")
def test_the_content_outlives_the_last_detach(sysv_shm):
    """What was written stays in a segment that nobody has attached, until it is removed."""
    segment = sysv_shm()
    attachment = segment.attach()
    attachment.buf[:4] = b"stay"
    attachment.detach()
    assert segment.stat().nattch == 0
    assert bytes(segment.attach().buf[:4]) == b"stay"

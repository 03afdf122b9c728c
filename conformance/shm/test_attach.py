"""shmop(2): shmat() and shmdt(), and the address of an attachment."""

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
def test_null_address_gives_page_aligned_address(sysv_shm, page):
    """shmat() with a NULL address attaches the segment at an address aligned to pages."""
    assert sysv_shm(3 * page).attach().address % page == 0


@clause("shmat.null-addr-unused", "shmop(2)", "DESCRIPTION")
def test_null_address_gives_unmapped_address(sysv_shm, page):
    """shmat() with a NULL address attaches the segment where nothing was mapped."""
    before = mapped()
    address = sysv_shm(3 * page).attach().address
    assert not any(start < address + 3 * page and address < end for start, end in before)


@clause("shmat.exact-aligned-address", "shmop(2)", "DESCRIPTION")
def test_multiple_of_shmlba_is_used_exactly(sysv_shm):
    """shmat() with an unused address that is a multiple of SHMLBA attaches the segment at exactly that address."""
    address = free_range(shmlba(), shmlba())
    attachment = sysv_shm().attach(address)
    assert attachment.address == address
    attachment.buf[0] = 7
    assert peek(address, 1) == b"\x07"


@clause("shmat.rnd-rounds-down", "shmop(2)", "DESCRIPTION")
def test_shm_rnd_rounds_down_to_shmlba(sysv_shm):
    """shmat() with SHM_RND rounds the address down to a multiple of SHMLBA."""
    address = free_range(shmlba(), shmlba())
    segment = sysv_shm()
    for offset in (shmlba() - 1, 1):
        attachment = segment.attach(address + offset, SHM_RND)
        assert attachment.address == address
        attachment.detach()


@clause("shmat.unaligned-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_unaligned_address_fails(sysv_shm):
    """shmat() without SHM_RND fails with EINVAL for an address that is not a multiple of SHMLBA, and attaches
    nothing."""
    address = free_range(shmlba(), shmlba())
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, address + 1)
    assert segment.stat().nattch == 0


@clause("shmat.occupied-addr-einval", "shmop(2)", "SHM_REMAP", errno=EINVAL)
def test_occupied_address_fails(sysv_shm):
    """shmat() without SHM_REMAP fails with EINVAL if something is mapped at the address, and leaves that mapping
    unchanged.
    """
    there = sysv_shm().attach()
    there.buf[0] = 7
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, there.address)
    assert (there.buf[0], segment.stat().nattch) == (7, 0)


@clause("shmat.remap-replaces", "shmop(2)", "SHM_REMAP")
def test_shm_remap_replaces_mapping(sysv_shm, fork):
    """shmat() with SHM_REMAP replaces the mapping at the given address by the segment."""
    there, new = sysv_shm(), sysv_shm()

    def replace() -> tuple[bytes, bytes, int]:
        address = shmat(there.id)
        poke(address, 7)
        before = peek(address, 1)
        shmat(new.id, address, SHM_REMAP)
        return before, peek(address, 1), there.stat().nattch

    assert fork(replace).result() == (b"\x07", b"\x00", 0)


@clause("shmat.remap-null-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_shm_remap_with_null_address_fails(sysv_shm):
    """shmat() with SHM_REMAP fails with EINVAL if the address is NULL."""
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmat(segment.id, None, SHM_REMAP)
    assert segment.stat().nattch == 0


@clause("shmat.bad-id-einval", "shmop(2)", "ERRORS", errno=EINVAL)
def test_invalid_id_fails():
    """shmat() fails with EINVAL for an invalid identifier."""
    with fails_with(EINVAL):
        shmat(-1)


@clause("shmat.removed-id-eidrm", "shmop(2)", "ERRORS", errno=EIDRM, disputed="EINVAL")
def test_id_of_removed_segment_fails(sysv_shm):
    """shmat() fails with EIDRM if the segment of the identifier has been destroyed."""
    segment = sysv_shm()
    segment.remove()
    with pytest.raises(OSError) as failure:
        shmat(segment.id)
    assert failure.value.errno in (EIDRM, EINVAL), errno_name(failure.value.errno)
    if failure.value.errno == EINVAL:
        disputed(manual="EIDRM", linux="fails with EINVAL, as for an invalid identifier")


@clause("shmat.rdonly-write-sigsegv", "shmop(2)", "SHM_RDONLY")
def test_store_to_read_only_attachment_is_sigsegv(sysv_shm, fork):
    """A store to a segment attached with SHM_RDONLY raises SIGSEGV and changes nothing."""
    segment = sysv_shm()
    writable, read_only = segment.attach(), segment.attach(flags=SHM_RDONLY)
    writable.buf[0] = 7
    assert read_only.buf[0] == 7
    assert fork(poke, read_only.address, 8).wait() == -signal.SIGSEGV
    assert writable.buf[0] == 7


@clause("shmat.rdonly-mprotect-write-eacces", "mprotect(2)", "ERRORS", errno=EACCES)
def test_mprotect_of_read_only_attachment_fails(sysv_shm, page):
    """mprotect() with PROT_WRITE fails with EACCES for a segment attached with SHM_RDONLY."""
    attachment = sysv_shm(page).attach(flags=SHM_RDONLY)
    with fails_with(EACCES):
        mprotect(attachment.address, page, PROT_READ | PROT_WRITE)


@clause("shmat.exec-flag", "shmop(2)", "SHM_EXEC")
def test_shm_exec_makes_memory_executable(sysv_shm):
    """shmat() with SHM_EXEC makes the attached memory executable; without the flag it is not executable."""
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
def test_segment_can_be_attached_several_times(sysv_shm):
    """A process may attach one segment several times, for reading and for writing: the addresses differ, the content is
    shared.
    """
    segment = sysv_shm()
    first, second, third = segment.attach(), segment.attach(), segment.attach(flags=SHM_RDONLY)
    assert len({first.address, second.address, third.address}) == 3
    first.buf[0], second.buf[1] = 1, 2
    assert bytes(third.buf[:2]) == b"\x01\x02"
    assert segment.stat().nattch == 3


@clause("shmat.updates-atime-lpid-nattch", "shmop(2)", "DESCRIPTION")
def test_shmat_updates_atime_lpid_nattch(sysv_shm):
    """shmat() sets shm_atime to the current time and shm_lpid to the caller, and increments shm_nattch."""
    segment = sysv_shm()
    before = int(time.time()) - 1
    segment.attach()
    ds = segment.stat()
    assert (ds.lpid, ds.nattch, ds.dtime) == (os.getpid(), 1, 0)
    assert before <= ds.atime <= time.time()


@clause("shmat.brk-unaltered", "shmop(2)", "DESCRIPTION")
def test_shmat_does_not_move_break(sysv_shm):
    """shmat() does not change the program break."""
    sbrk = ctypes.CDLL(None).sbrk
    sbrk.restype = ctypes.c_void_p
    segment = sysv_shm(1 << 20)
    before = sbrk(0)
    address = shmat(segment.id)
    after = sbrk(0)
    shmdt(address)
    assert after == before


@clause("shmat.attach-after-rmid-by-id", "shmop(2)", "NOTES")
def test_segment_marked_for_destruction_can_be_attached(sysv_shm):
    """shmat() attaches a segment that is marked for destruction as long as another attachment exists."""
    segment = sysv_shm()
    first = segment.attach()
    first.buf[0] = 7
    shmctl_rmid(segment.id)
    assert segment.attach().buf[0] == 7


@clause("shmdt.unmaps-sigsegv", "shmop(2)", "DESCRIPTION")
def test_store_after_shmdt_is_sigsegv(sysv_shm, fork):
    """After shmdt() the memory is unmapped: a store there raises SIGSEGV."""
    segment = sysv_shm()

    def touch_after_detach() -> None:
        address = shmat(segment.id)
        poke(address, 1)
        shmdt(address)
        poke(address, 1)

    assert fork(touch_after_detach).wait() == -signal.SIGSEGV


@clause("shmdt.einval-not-attached", "shmop(2)", "ERRORS", errno=EINVAL)
def test_shmdt_without_attachment_fails(page):
    """shmdt() fails with EINVAL if no segment is attached at the address."""
    with fails_with(EINVAL):
        shmdt(free_range(page))


@clause("shmdt.einval-unaligned", "shmop(2)", "ERRORS", errno=EINVAL)
def test_shmdt_of_unaligned_address_fails(sysv_shm):
    """shmdt() fails with EINVAL for an address that is not aligned to pages, and the segment stays attached."""
    attachment = sysv_shm().attach()
    with fails_with(EINVAL):
        shmdt(attachment.address + 1)
    assert attachment.segment.stat().nattch == 1


@clause("shmdt.mid-segment-einval", "shmop(2)", "DESCRIPTION", errno=EINVAL)
def test_shmdt_inside_attachment_fails(sysv_shm, page):
    """shmdt() fails with EINVAL for an address inside an attachment; it accepts only the address that shmat()
    returned."""
    attachment = sysv_shm(3 * page).attach()
    with fails_with(EINVAL):
        shmdt(attachment.address + page)
    assert attachment.segment.stat().nattch == 1
    assert peek(attachment.address, 3 * page) == bytes(3 * page)


@clause("shmdt.updates-dtime-lpid-nattch", "shmop(2)", "DESCRIPTION")
def test_shmdt_updates_dtime_lpid_nattch(sysv_shm, fork):
    """shmdt() sets shm_dtime to the current time and shm_lpid to the caller, and decrements shm_nattch."""
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
def test_content_persists_after_last_shmdt(sysv_shm):
    """The content of a segment persists after the last shmdt() until the segment is removed."""
    segment = sysv_shm()
    attachment = segment.attach()
    attachment.buf[:4] = b"stay"
    attachment.detach()
    assert segment.stat().nattch == 0
    assert bytes(segment.attach().buf[:4]) == b"stay"

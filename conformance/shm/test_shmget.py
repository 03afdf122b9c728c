"""shmget(2): finding and making segments, and how a new one begins."""

from __future__ import annotations

import os
import time
from errno import EEXIST, EINVAL, ENOENT, ENOMEM
from mmap import PAGESIZE
from signal import SIGSEGV

from pytest_ipc import clause, fails_with, untested, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_NORESERVE, limit, shmctl_stat, shmget
from pytest_ipc.kernel.libc import SIZE

from ..credentials import OTHER_GROUP, STRANGER, act_as_another
from ..memory import free_range, peek, poke


@clause("shmget.create-new-returns-nonneg", "shmget(2)", "RETURN VALUE")
def test_making_a_segment_gives_an_id(sysv_shm):
    """Making a segment gives an identifier, a number that is not negative and stands for that segment."""
    segment, other = sysv_shm(1000), sysv_shm(3000)
    assert segment.id >= 0
    assert [shmctl_stat(each.id).segsz for each in (segment, other)] == [1000, 3000]


@clause("shmget.creat-makes-segment-with-key", "shmget(2)", "DESCRIPTION")
def test_creat_makes_a_segment_with_the_key(sysv_shm):
    """IPC_CREAT with a key that no segment has makes one, which is found by that key from then on."""
    key = unused_key()
    segment = sysv_shm(key=key, flags=IPC_CREAT)
    assert segment.stat().perm.key == key
    assert shmget(key, 0, 0) == segment.id


@clause("shmget.creat-existing-returns-it", "shmget(2)", "DESCRIPTION")
def test_creat_alone_finds_what_exists(sysv_shm):
    """IPC_CREAT without IPC_EXCL gives the segment that already has the key."""
    segment = sysv_shm()
    assert shmget(segment.key, segment.size, IPC_CREAT | 0o600) == segment.id


@clause("shmget.private-always-new", "shmget(2)", "DESCRIPTION")
def test_private_is_new_every_time(on_record):
    """With the key IPC_PRIVATE every call makes a new segment."""
    made = {on_record.shmget(IPC_PRIVATE, 1, 0o600) for _ in range(3)}
    assert len(made) == 3


@clause("shmget.private-ignores-creat-excl", "shmget(2)", "NOTES")
def test_private_needs_no_creat(on_record):
    """With IPC_PRIVATE only the nine mode bits of the flags count: IPC_CREAT is not needed, IPC_EXCL does no harm."""
    first = on_record.shmget(IPC_PRIVATE, 1, 0o600)
    second = on_record.shmget(IPC_PRIVATE, 1, IPC_EXCL | 0o640)
    assert [shmctl_stat(shmid).perm.mode for shmid in (first, second)] == [0o600, 0o640]


@clause("shmget.lookup-existing", "shmget(2)", "DESCRIPTION")
def test_a_key_leads_to_its_segment(sysv_shm):
    """Without flags the key of an existing segment gives that segment's identifier."""
    segment = sysv_shm()
    assert shmget(segment.key, segment.size, 0) == segment.id


@clause("shmget.size-zero-lookup", "shmget(2)", "DESCRIPTION")
def test_size_zero_finds_any_segment(sysv_shm):
    """An existing segment may be looked up with the size 0."""
    segment = sysv_shm(12345)
    assert shmget(segment.key, 0, 0) == segment.id


@clause("shmget.smaller-size-lookup-ok", "shmget(2)", "ERRORS", errno=EINVAL)
def test_a_smaller_size_finds_the_segment_whole(sysv_shm):
    """An existing segment may be looked up with a size below its own, and keeps its own."""
    segment = sysv_shm(12345)
    assert shmget(segment.key, 12344, 0) == segment.id
    assert segment.stat().segsz == 12345


@clause("shmget.larger-size-einval", "shmget(2)", "ERRORS", errno=EINVAL)
def test_a_larger_size_is_refused(sysv_shm):
    """Looking an existing segment up with a size above its own fails, and the segment is what it was."""
    segment = sysv_shm(4096)
    assert shmget(segment.key, 4096, 0) == segment.id
    with fails_with(EINVAL):
        shmget(segment.key, 4097, 0)
    assert segment.stat().segsz == 4096


@clause("shmget.excl-existing-key-eexist", "shmget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_when_the_key_has_a_segment(sysv_shm):
    """IPC_CREAT with IPC_EXCL fails when a segment with the key exists."""
    segment = sysv_shm()
    with fails_with(EEXIST):
        shmget(segment.key, segment.size, IPC_CREAT | IPC_EXCL | 0o600)
    assert segment.exists()


@clause("shmget.nocreat-enoent", "shmget(2)", "ERRORS", errno=ENOENT)
def test_a_key_without_segment_is_not_found():
    """A key that no segment has fails without IPC_CREAT, and makes nothing."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            shmget(key, 1, 0o600)


@clause("shmget.below-shmmin-einval", "shmget(2)", "ERRORS", errno=EINVAL)
def test_a_new_segment_has_at_least_one_byte(sysv_shm, on_record):
    """A new segment of 0 bytes, less than SHMMIN, is refused; one of 1 byte is made."""
    key = unused_key()
    with fails_with(EINVAL):
        on_record.shmget(key, 0, IPC_CREAT | 0o600)
    assert sysv_shm(1, key=key).stat().segsz == 1


@clause("shmget.enomem", "shmget(2)", "ERRORS", errno=ENOMEM)
def test_a_segment_larger_than_all_memory_is_refused(on_record):
    """A segment of more than all memory and swap, where memory is not given out beyond that, is refused with ENOMEM, and none made."""
    if limit("vm/overcommit_memory") not in (0, 2):
        untested("needs a kernel that looks at vm.overcommit_memory, and it to be 0 or 2")
    with open("/proc/meminfo") as memory:
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in memory)}
    size = 2048 * (kilobytes["MemTotal"] + kilobytes.get("SwapTotal", 0))
    if size > SIZE[1] >> 1:
        untested("needs a 64-bit process: all memory and swap are more than it can ask for")
    for name, unit in (("shmmax", 1), ("shmall", PAGESIZE)):
        most = limit(f"kernel/{name}")
        if most is None or most * unit < size:
            untested(f"kernel.{name} is {most}, less than all memory and swap")
    key = unused_key()
    with fails_with(ENOMEM):
        on_record.shmget(key, size, IPC_CREAT | 0o600)
    with fails_with(ENOENT):
        shmget(key, 0, 0)


@clause("shmget.noreserve-accepted", "shmget(2)", "DESCRIPTION")
def test_noreserve_gives_an_ordinary_segment(sysv_shm):
    """A segment made with SHM_NORESERVE is used like any other."""
    attachment = sysv_shm(flags=IPC_CREAT | IPC_EXCL | SHM_NORESERVE).attach()
    attachment.buf[:4] = b"here"
    assert bytes(attachment.buf[:5]) == b"here\0"


@clause("shmget.zero-filled", "shmget(2)", "DESCRIPTION")
def test_a_new_segment_is_all_zeros(sysv_shm, page):
    """A new segment reads as zeros over its whole length, rounded up to pages."""
    attachment = sysv_shm(3 * page - 100).attach()
    assert peek(attachment.address, 3 * page) == bytes(3 * page)


@clause("shmget.segsz-is-what-was-asked", "shmget(2)", "DESCRIPTION")
def test_the_size_in_the_books_is_the_size_asked_for(sysv_shm, page):
    """The size that IPC_STAT tells is the one that was asked for, on both sides of a page boundary."""
    assert [sysv_shm(size).stat().segsz for size in (1, page - 1, page, page + 1)] == [1, page - 1, page, page + 1]


@clause("shmget.size-rounded-mapping-not-segsz", "shmget(2)", "DESCRIPTION")
def test_the_memory_is_whole_pages(sysv_shm, page):
    """The memory is the size rounded up to whole pages: the rest of the last page is there, zero, and holds what is put in."""
    segment = sysv_shm(page + 1)
    first, second = segment.attach(), segment.attach()
    assert peek(first.address + page + 1, page - 1) == bytes(page - 1)
    poke(first.address + 2 * page - 1, 0x5A)
    assert peek(second.address + 2 * page - 1, 1) == b"\x5a"
    assert segment.stat().segsz == page + 1


@clause("shmget.page-after-rounding-not-mapped", "shmget(2)", "DESCRIPTION")
def test_the_memory_ends_with_the_last_page(sysv_shm, fork, page):
    """The page after the last of a segment does not belong to it."""
    segment = sysv_shm(page + 1)
    # An address of its own, far from other mappings, so that what follows the segment is nobody's.
    address = free_range(8 * page)
    assert segment.attach(address).address == address
    child = fork(poke, address + 2 * page, 1)
    assert child.wait() == -SIGSEGV, "a store behind the last page was not a fault"


@clause("shmget.init-cuid-uid", "shmget(2)", "DESCRIPTION")
def test_the_creator_becomes_the_owner(sysv_shm):
    """Owner and creator of a new segment are the effective user of its maker."""
    perm = sysv_shm().stat().perm
    assert (perm.cuid, perm.uid) == (os.geteuid(), os.geteuid())


@clause("shmget.init-cgid-gid", "shmget(2)", "DESCRIPTION")
def test_the_creators_group_becomes_the_owning_group(sysv_shm):
    """Group and creating group of a new segment are the effective group of its maker."""
    perm = sysv_shm().stat().perm
    assert (perm.cgid, perm.gid) == (os.getegid(), os.getegid())


@clause("shmget.init-euid-not-ruid", "shmget(2)", "DESCRIPTION")
def test_the_effective_ids_count(fork, on_record):
    """Where real and effective ids of the maker differ, the effective ones become owner and creator."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = shmctl_stat(on_record.shmget(IPC_PRIVATE, 1, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("shmget.init-mode-low9", "shmget(2)", "DESCRIPTION")
def test_the_mode_is_the_flags_low_nine_bits(fork, on_record):
    """The mode of a new segment is the low nine bits of the flags, and the umask takes nothing from them."""

    def make() -> int:
        os.umask(0o777)
        return shmctl_stat(on_record.shmget(unused_key(), 1, IPC_CREAT | IPC_EXCL | 0o753)).perm.mode

    assert oct(fork(make).result()) == oct(0o753)


@clause("shmget.init-zero-fields", "shmget(2)", "DESCRIPTION")
def test_what_has_not_happened_is_zero(sysv_shm):
    """A new segment has no last user, no attachment, and no time of attach or detach: all are 0."""
    ds = sysv_shm().stat()
    assert (ds.lpid, ds.nattch, ds.atime, ds.dtime) == (0, 0, 0, 0)


@clause("shmget.init-ctime-now", "shmget(2)", "DESCRIPTION")
def test_the_time_of_change_starts_as_now(sysv_shm):
    """The time of change of a new segment is the time of its making."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_shm().stat().ctime
    assert before <= ctime <= time.time()


@clause("shmget.init-cpid", "shmctl(2)", "shm_cpid")
def test_the_creating_process_is_on_record(fork, sysv_shm, on_record):
    """The process that made a segment is on record as its creator, also when a child made it."""
    segment = sysv_shm()
    assert segment.stat().cpid == os.getpid()

    def make() -> tuple[int, int]:
        return shmctl_stat(on_record.shmget(IPC_PRIVATE, 1, 0o600)).cpid, os.getpid()

    cpid, pid = fork(make).result()
    assert cpid == pid

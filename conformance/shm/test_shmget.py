"""shmget(2): finding and creating segments, and the initial state of a new segment."""

from __future__ import annotations

import os
import time
from errno import EEXIST, EINVAL, ENOENT, ENOMEM
from mmap import PAGESIZE
from signal import SIGSEGV

from pytest_ipc import Need, clause, fails_with, untested, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_NORESERVE, limit, shmctl_stat, shmget
from pytest_ipc.kernel.libc import SIZE

from ..credentials import OTHER_GROUP, STRANGER, act_as_another
from ..memory import free_range, peek, poke


@clause("shmget.create-new-returns-nonneg", "shmget(2)", "RETURN VALUE")
def test_new_segment_gives_valid_id(sysv_shm):
    """shmget() returns a nonnegative identifier that names the new segment."""
    segment, other = sysv_shm(1000), sysv_shm(3000)
    assert segment.id >= 0
    assert [shmctl_stat(each.id).segsz for each in (segment, other)] == [1000, 3000]


@clause("shmget.creat-makes-segment-with-key", "shmget(2)", "DESCRIPTION")
def test_creat_creates_segment_with_key(sysv_shm):
    """shmget() with IPC_CREAT creates a segment if none exists for the key, and later calls find it by the key."""
    key = unused_key()
    segment = sysv_shm(key=key, flags=IPC_CREAT)
    assert segment.stat().perm.key == key
    assert shmget(key, 0, 0) == segment.id


@clause("shmget.creat-existing-returns-it", "shmget(2)", "DESCRIPTION")
def test_creat_finds_existing_segment(sysv_shm):
    """shmget() with IPC_CREAT and without IPC_EXCL returns the identifier of an existing segment."""
    segment = sysv_shm()
    assert shmget(segment.key, segment.size, IPC_CREAT | 0o600) == segment.id


@clause("shmget.private-always-new", "shmget(2)", "DESCRIPTION")
def test_private_always_creates(on_record):
    """shmget() with IPC_PRIVATE creates a new segment on every call."""
    made = {on_record.shmget(IPC_PRIVATE, 1, 0o600) for _ in range(3)}
    assert len(made) == 3


@clause("shmget.private-ignores-creat-excl", "shmget(2)", "NOTES")
def test_private_ignores_creat_and_excl(on_record):
    """shmget() with IPC_PRIVATE uses only the low nine bits of shmflg: it needs no IPC_CREAT and ignores IPC_EXCL."""
    first = on_record.shmget(IPC_PRIVATE, 1, 0o600)
    second = on_record.shmget(IPC_PRIVATE, 1, IPC_EXCL | 0o640)
    assert [shmctl_stat(shmid).perm.mode for shmid in (first, second)] == [0o600, 0o640]


@clause("shmget.lookup-existing", "shmget(2)", "DESCRIPTION")
def test_key_finds_segment(sysv_shm):
    """shmget() without flags returns the identifier of the existing segment for the key."""
    segment = sysv_shm()
    assert shmget(segment.key, segment.size, 0) == segment.id


@clause("shmget.size-zero-lookup", "shmget(2)", "DESCRIPTION")
def test_size_zero_finds_segment(sysv_shm):
    """shmget() finds an existing segment with size 0."""
    segment = sysv_shm(12345)
    assert shmget(segment.key, 0, 0) == segment.id


@clause("shmget.smaller-size-lookup-ok", "shmget(2)", "ERRORS", errno=EINVAL)
def test_smaller_size_finds_segment(sysv_shm):
    """shmget() finds an existing segment with a size smaller than its own, and does not change its size."""
    segment = sysv_shm(12345)
    assert shmget(segment.key, 12344, 0) == segment.id
    assert segment.stat().segsz == 12345


@clause("shmget.larger-size-einval", "shmget(2)", "ERRORS", errno=EINVAL)
def test_larger_size_fails(sysv_shm):
    """shmget() fails with EINVAL if the size is larger than that of the existing segment, and does not change the
    segment.
    """
    segment = sysv_shm(4096)
    assert shmget(segment.key, 4096, 0) == segment.id
    with fails_with(EINVAL):
        shmget(segment.key, 4097, 0)
    assert segment.stat().segsz == 4096


@clause("shmget.excl-existing-key-eexist", "shmget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_key_exists(sysv_shm):
    """shmget() with IPC_CREAT | IPC_EXCL fails with EEXIST if a segment exists for the key."""
    segment = sysv_shm()
    with fails_with(EEXIST):
        shmget(segment.key, segment.size, IPC_CREAT | IPC_EXCL | 0o600)
    assert segment.exists()


@clause("shmget.nocreat-enoent", "shmget(2)", "ERRORS", errno=ENOENT)
def test_missing_key_without_creat_fails():
    """shmget() without IPC_CREAT fails with ENOENT if no segment exists for the key, and creates none."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            shmget(key, 1, 0o600)


@clause("shmget.below-shmmin-einval", "shmget(2)", "ERRORS", errno=EINVAL)
def test_size_below_shmmin_fails(sysv_shm, on_record):
    """shmget() fails with EINVAL for a new segment smaller than SHMMIN, which is 1 byte."""
    key = unused_key()
    with fails_with(EINVAL):
        on_record.shmget(key, 0, IPC_CREAT | 0o600)
    assert sysv_shm(1, key=key).stat().segsz == 1


@clause("shmget.enomem", "shmget(2)", "ERRORS", errno=ENOMEM)
def test_size_above_all_memory_fails(on_record):
    """shmget() fails with ENOMEM for a segment larger than memory and swap if overcommit is limited, and creates no
    segment.
    """
    if limit("vm/overcommit_memory") not in (0, 2):
        untested(Need.NEWER_KERNEL, "needs a kernel that looks at vm.overcommit_memory, and it to be 0 or 2")
    with open("/proc/meminfo") as memory:
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in memory)}
    size = 2048 * (kilobytes["MemTotal"] + kilobytes.get("SwapTotal", 0))
    if size > SIZE[1] >> 1:
        untested(Need.ARCHITECTURE, "needs a 64-bit process: all memory and swap are more than it can ask for")
    for name, unit in (("shmmax", 1), ("shmall", PAGESIZE)):
        most = limit(f"kernel/{name}")
        if most is None or most * unit < size:
            untested(Need.MACHINE_LIMITS, f"kernel.{name} is {most}, less than all memory and swap")
    key = unused_key()
    with fails_with(ENOMEM):
        on_record.shmget(key, size, IPC_CREAT | 0o600)
    with fails_with(ENOENT):
        shmget(key, 0, 0)


@clause("shmget.noreserve-accepted", "shmget(2)", "DESCRIPTION")
def test_noreserve_segment_is_usable(sysv_shm):
    """A segment created with SHM_NORESERVE can be attached, written and read."""
    attachment = sysv_shm(flags=IPC_CREAT | IPC_EXCL | SHM_NORESERVE).attach()
    attachment.buf[:4] = b"here"
    assert bytes(attachment.buf[:5]) == b"here\0"


@clause("shmget.zero-filled", "shmget(2)", "DESCRIPTION")
def test_new_segment_is_zero_filled(sysv_shm, page):
    """A new segment is filled with zeros over its whole length, rounded up to pages."""
    attachment = sysv_shm(3 * page - 100).attach()
    assert peek(attachment.address, 3 * page) == bytes(3 * page)


@clause("shmget.segsz-is-what-was-asked", "shmget(2)", "DESCRIPTION")
def test_segsz_is_requested_size(sysv_shm, page):
    """shm_segsz is the requested size, not rounded to pages."""
    assert [sysv_shm(size).stat().segsz for size in (1, page - 1, page, page + 1)] == [1, page - 1, page, page + 1]


@clause("shmget.size-rounded-mapping-not-segsz", "shmget(2)", "DESCRIPTION")
def test_memory_is_rounded_up_to_pages(sysv_shm, page):
    """The memory of a segment is its size rounded up to whole pages: the rest of the last page is zero, and usable."""
    segment = sysv_shm(page + 1)
    first, second = segment.attach(), segment.attach()
    assert peek(first.address + page + 1, page - 1) == bytes(page - 1)
    poke(first.address + 2 * page - 1, 0x5A)
    assert peek(second.address + 2 * page - 1, 1) == b"\x5a"
    assert segment.stat().segsz == page + 1


@clause("shmget.page-after-rounding-not-mapped", "shmget(2)", "DESCRIPTION")
def test_memory_ends_with_last_page(sysv_shm, fork, page):
    """The page after the last page of a segment is not mapped."""
    segment = sysv_shm(page + 1)
    # A range far from other mappings, so that the page after the segment is unmapped.
    address = free_range(8 * page)
    assert segment.attach(address).address == address
    child = fork(poke, address + 2 * page, 1)
    assert child.wait() == -SIGSEGV, "a store after the last page must raise SIGSEGV"


@clause("shmget.init-cuid-uid", "shmget(2)", "DESCRIPTION")
def test_euid_becomes_owner_and_creator(sysv_shm):
    """shmget() sets the owner and creator of a new segment to the caller's effective user ID."""
    perm = sysv_shm().stat().perm
    assert (perm.cuid, perm.uid) == (os.geteuid(), os.geteuid())


@clause("shmget.init-cgid-gid", "shmget(2)", "DESCRIPTION")
def test_egid_becomes_group_and_creators_group(sysv_shm):
    """shmget() sets the group and the creator's group of a new segment to the caller's effective group ID."""
    perm = sysv_shm().stat().perm
    assert (perm.cgid, perm.gid) == (os.getegid(), os.getegid())


@clause("shmget.init-euid-not-ruid", "shmget(2)", "DESCRIPTION")
def test_effective_ids_are_used(fork, on_record):
    """shmget() uses the effective and not the real IDs for owner and creator of a new segment."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = shmctl_stat(on_record.shmget(IPC_PRIVATE, 1, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("shmget.init-mode-low9", "shmget(2)", "DESCRIPTION")
def test_mode_is_low_nine_bits_of_flags(fork, on_record):
    """The mode of a new segment is the low nine bits of shmflg; the umask does not affect it."""

    def make() -> int:
        os.umask(0o777)
        return shmctl_stat(on_record.shmget(unused_key(), 1, IPC_CREAT | IPC_EXCL | 0o753)).perm.mode

    assert oct(fork(make).result()) == oct(0o753)


@clause("shmget.init-zero-fields", "shmget(2)", "DESCRIPTION")
def test_new_segment_has_zero_lpid_nattch_atime_dtime(sysv_shm):
    """In a new segment shm_lpid, shm_nattch, shm_atime and shm_dtime are 0."""
    ds = sysv_shm().stat()
    assert (ds.lpid, ds.nattch, ds.atime, ds.dtime) == (0, 0, 0, 0)


@clause("shmget.init-ctime-now", "shmget(2)", "DESCRIPTION")
def test_ctime_is_creation_time(sysv_shm):
    """In a new segment shm_ctime is the current time."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_shm().stat().ctime
    assert before <= ctime <= time.time()


@clause("shmget.init-cpid", "shmctl(2)", "shm_cpid")
def test_cpid_is_creator(fork, sysv_shm, on_record):
    """shm_cpid is the process ID of the process that created the segment."""
    segment = sysv_shm()
    assert segment.stat().cpid == os.getpid()

    def make() -> tuple[int, int]:
        return shmctl_stat(on_record.shmget(IPC_PRIVATE, 1, 0o600)).cpid, os.getpid()

    cpid, pid = fork(make).result()
    assert cpid == pid

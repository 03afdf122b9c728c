"""shmctl(2): what can be asked of a segment, changed in it, and its removal."""

from __future__ import annotations

from ctypes import c_ulong, memset, sizeof
from errno import EFAULT, EINVAL

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    SHM_DEST,
    SHM_LOCK,
    SHM_LOCKED,
    SHM_STAT,
    SHM_UNLOCK,
    limit,
    shmat,
    shmctl,
    shmctl_info,
    shmctl_limits,
    shmctl_rmid,
    shmctl_set,
    shmctl_stat,
    shmget,
    sysvipc_shm,
)
from pytest_ipc.kernel.libc import LONG, ULONG

from ..raw_syscalls import NOBODYS, raw


@clause("shmctl.stat-segsz", "shmctl(2)", "IPC_STAT")
def test_stat_tells_the_size(sysv_shm):
    """IPC_STAT tells the size in bytes."""
    assert sysv_shm(12345).stat().segsz == 12345


@clause("shmctl.stat-nattch-counts", "shmctl(2)", "shm_nattch")
def test_attachments_are_counted(sysv_shm):
    """The number of attachments goes up by one with every attach and down by one with every detach."""
    segment = sysv_shm()
    first, second = segment.attach(), segment.attach()
    assert segment.stat().nattch == 2
    first.detach()
    assert segment.stat().nattch == 1
    second.detach()
    assert segment.stat().nattch == 0


@clause("shmctl.efault", "shmctl(2)", "ERRORS", errno=EFAULT)
def test_a_buffer_that_is_no_memory_is_refused(sysv_shm):
    """IPC_STAT and IPC_SET with an address that cannot be accessed fail, and change nothing."""
    segment = sysv_shm()
    for command in (IPC_STAT, IPC_SET):  # past libc, which on 32-bit machines copies the structure itself
        with fails_with(EFAULT):
            raw("shmctl", segment.id, command, NOBODYS)
    assert segment.stat().perm.mode == 0o600


@clause("shmctl.einval-cmd-id", "shmctl(2)", "ERRORS", errno=EINVAL)
def test_what_is_no_command_or_no_id_is_refused(sysv_shm):
    """An unknown command, an identifier that no segment can have and that of a segment that is gone are refused."""
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmctl(segment.id, 0x7F00)
    with fails_with(EINVAL):
        shmctl_stat(-1)
    segment.remove()
    with fails_with(EINVAL):
        shmctl_stat(segment.id)


@clause("shmctl.set-mode", "shmctl(2)", "IPC_SET")
def test_the_mode_can_be_changed(sysv_shm):
    """IPC_SET changes the mode bits."""
    segment = sysv_shm(mode=0o600)
    segment.set(mode=0o640)
    assert oct(segment.stat().perm.mode) == oct(0o640)


@clause("shmctl.set-only-9-mode-bits", "shmctl(2)", "IPC_SET")
def test_only_the_nine_mode_bits_can_be_changed(sysv_shm):
    """Of the mode that IPC_SET is given only the low nine bits are taken."""
    segment = sysv_shm()
    shmctl_set(segment.id, mode=0o7777)
    assert oct(segment.stat().perm.mode) == oct(0o777)


@clause("shmctl.set-ctime", "shmctl(2)", "IPC_SET")
def test_a_change_sets_the_time_of_change(aged):
    """IPC_SET sets the time of change to now."""
    segment = aged("sysv_shm")
    made = segment.stat().ctime
    segment.set(mode=0o640)
    assert segment.stat().ctime > made


@clause("shmctl.rmid-unattached-at-once", "shmctl(2)", "IPC_RMID")
def test_an_unattached_segment_goes_at_once(sysv_shm):
    """Removing a segment that nobody has attached ends it there and then."""
    segment = sysv_shm()
    shmctl_rmid(segment.id)
    with fails_with(EINVAL):
        shmctl_stat(segment.id)


@clause("shmctl.rmid-deferred", "shmctl(2)", "IPC_RMID")
def test_removal_waits_for_the_last_detach(sysv_shm):
    """A removed segment stays usable for those who have it attached, and goes with the last detach."""
    segment = sysv_shm()
    first, second = segment.attach(), segment.attach()
    shmctl_rmid(segment.id)
    first.buf[0] = 7
    assert second.buf[0] == 7
    first.detach()
    assert segment.stat().nattch == 1
    second.detach()
    with fails_with(EINVAL):
        shmctl_stat(segment.id)


@clause("shmctl.rmid-shm_dest", "shmctl(2)", "IPC_RMID")
def test_a_pending_removal_shows_in_the_mode(sysv_shm):
    """SHM_DEST is set in the mode of a segment that waits for its last detach, and of no other."""
    segment = sysv_shm()
    segment.attach()
    assert segment.stat().perm.mode == 0o600
    shmctl_rmid(segment.id)
    assert segment.stat().perm.mode == 0o600 | SHM_DEST


@clause("shmctl.rmid-key-freed", "shmctl(2)", "IPC_RMID")
def test_a_removed_segment_gives_up_its_key(sysv_shm, on_record):
    """The key of a removed segment is free at once, though it is still attached: a new segment may have it."""
    old = sysv_shm()
    old.attach().buf[0] = 7
    shmctl_rmid(old.id)
    new = on_record.shmget(old.key, old.size, IPC_CREAT | IPC_EXCL | 0o600)
    assert new != old.id
    assert (shmctl_stat(new).perm.key, old.stat().perm.key) == (old.key, IPC_PRIVATE)


@clause("shmctl.rmid-twice", "shmctl(2)", "IPC_RMID")
def test_removing_a_pending_segment_again_does_no_harm(sysv_shm):
    """A second IPC_RMID of a segment that waits for its last detach is accepted and changes nothing."""
    segment = sysv_shm()
    attachment = segment.attach()
    shmctl_rmid(segment.id)
    shmctl_rmid(segment.id)
    attachment.buf[0] = 7
    assert segment.stat().nattch == 1


@clause("shmctl.rmid-exactly-one-succeeds", "shmctl(2)", "IPC_RMID")
def test_exactly_one_of_several_removals_succeeds(sysv_shm, fork, pipe):
    """Of several processes that remove an unattached segment at the same time exactly one succeeds; the others get EINVAL."""
    segment, gate = sysv_shm(), pipe()

    def remove() -> int:
        gate.close_write()
        gate.read()  # all wait here for the gate to close
        try:
            return shmctl(segment.id, IPC_RMID)
        except OSError as error:
            return error.errno or -1

    children = [fork(remove) for _ in range(4)]
    for child in children:
        child.wait_blocked("read")
    gate.close_write()
    assert sorted(child.result() for child in children) == [0, EINVAL, EINVAL, EINVAL]


@clause("shmctl.ipc_info-matches-proc", "shmctl(2)", "IPC_INFO")
def test_the_limits_are_those_in_proc():
    """IPC_INFO tells the limits that /proc/sys/kernel shows, and a smallest size of 1."""
    limits = shmctl_limits()
    shown = {name: limit(f"kernel/{name}") for name in ("shmmax", "shmmni", "shmall")}
    if None in shown.values():
        untested("needs /proc/sys/kernel/shmmax, shmmni and shmall")
    # A limit of a 64-bit kernel need not fit what a 32-bit program is told it in.
    most = ULONG[1] if sizeof(c_ulong) == 8 else LONG[1]
    fitting = {name: value for name, value in shown.items() if value is not None and value <= most}
    assert {name: getattr(limits, name) for name in fitting} == fitting
    assert limits.shmmin == 1


@clause("shmctl.shm_info-sums", "shmctl(2)", "SHM_INFO")
def test_the_sums_are_those_of_the_segments(in_ipc_namespace, page):
    """SHM_INFO tells the number of segments and the sum of their pages, in whole and in memory."""

    def sums() -> tuple[int, int, int]:
        shmget(IPC_PRIVATE, 1, 0o600)
        second = shmget(IPC_PRIVATE, 2 * page + 1, 0o600)
        memset(shmat(second), 1, 2 * page)
        info = shmctl_info()
        return info.used_ids, info.shm_tot, info.shm_rss

    assert in_ipc_namespace({}, sums) == (2, 4, 2)


@clause("shmctl.shm_stat-index", "shmctl(2)", "SHM_STAT")
def test_an_index_leads_to_a_segment(in_ipc_namespace):
    """SHM_STAT takes an index of the kernel's table and gives the identifier there; an unused index is refused."""

    def by_index() -> bool:
        shmid = shmget(IPC_PRIVATE, 4321, 0o600)
        highest = shmctl_info().highest
        found = shmctl_stat(highest, SHM_STAT)
        with fails_with(EINVAL):
            shmctl_stat(highest + 1, SHM_STAT)
        return (found.id, found.segsz) == (shmid, 4321)

    assert in_ipc_namespace({}, by_index)


@clause("shmctl.lock-unlock-flag", "shmctl(2)", "SHM_LOCK")
def test_a_lock_shows_in_the_mode(sysv_shm):
    """SHM_LOCK sets SHM_LOCKED in the mode, SHM_UNLOCK clears it."""
    segment = sysv_shm()
    try:
        segment.control(SHM_LOCK)
    except PermissionError as error:
        untested(f"needs CAP_IPC_LOCK or room under RLIMIT_MEMLOCK: {error.strerror}")
    assert segment.stat().perm.mode == 0o600 | SHM_LOCKED
    segment.control(SHM_UNLOCK)
    assert segment.stat().perm.mode == 0o600


@clause("proc.sysvipc-shm-row", "proc_sysvipc(5)", "/proc/sysvipc/")
def test_proc_shows_the_segment(sysv_shm):
    """/proc/sysvipc/shm has a row for every segment, with what IPC_STAT tells of it."""
    segment = sysv_shm(12345, mode=0o640)
    segment.attach()
    rows = sysvipc_shm()
    if rows is None:
        untested("needs /proc/sysvipc")
    found = [row for row in rows if row.shmid == segment.id]
    assert len(found) == 1, f"{len(found)} rows show the segment"
    row = found[0]
    ds = segment.stat()
    assert (row.key, row.perms, row.size, row.cpid, row.lpid, row.nattch) == (
        segment.key,
        0o640,
        12345,
        ds.cpid,
        ds.lpid,
        1,
    )
    assert (row.uid, row.gid, row.cuid, row.cgid) == (ds.perm.uid, ds.perm.gid, ds.perm.cuid, ds.perm.cgid)
    assert (row.atime, row.dtime, row.ctime) == (ds.atime, ds.dtime, ds.ctime)

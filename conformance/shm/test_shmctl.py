"""shmctl(2): examining, changing and removing a segment."""

from __future__ import annotations

from ctypes import c_ulong, memset, sizeof
from errno import EFAULT, EINVAL

from pytest_ipc import Need, clause, fails_with, untested
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
def test_ipc_stat_returns_size(sysv_shm):
    """IPC_STAT returns the segment's size in bytes in shm_segsz."""
    assert sysv_shm(12345).stat().segsz == 12345


@clause("shmctl.stat-nattch-counts", "shmctl(2)", "shm_nattch")
def test_shm_nattch_counts_attachments(sysv_shm):
    """shm_nattch increases by one with every shmat() and decreases by one with every shmdt()."""
    segment = sysv_shm()
    first, second = segment.attach(), segment.attach()
    assert segment.stat().nattch == 2
    first.detach()
    assert segment.stat().nattch == 1
    second.detach()
    assert segment.stat().nattch == 0


@clause("shmctl.efault", "shmctl(2)", "ERRORS", errno=EFAULT)
def test_invalid_buffer_address_fails(sysv_shm):
    """IPC_STAT and IPC_SET fail with EFAULT if the buffer's address is not accessible, and change nothing."""
    segment = sysv_shm()
    for command in (IPC_STAT, IPC_SET):  # a raw system call: on 32-bit architectures libc copies the structure itself
        with fails_with(EFAULT):
            raw("shmctl", segment.id, command, NOBODYS)
    assert segment.stat().perm.mode == 0o600


@clause("shmctl.einval-cmd-id", "shmctl(2)", "ERRORS", errno=EINVAL)
def test_invalid_command_or_id_fails(sysv_shm):
    """shmctl() fails with EINVAL for an unknown command, an invalid identifier and the identifier of a destroyed
    segment.
    """
    segment = sysv_shm()
    with fails_with(EINVAL):
        shmctl(segment.id, 0x7F00)
    with fails_with(EINVAL):
        shmctl_stat(-1)
    segment.remove()
    with fails_with(EINVAL):
        shmctl_stat(segment.id)


@clause("shmctl.set-mode", "shmctl(2)", "IPC_SET")
def test_ipc_set_changes_mode(sysv_shm):
    """IPC_SET changes the permission bits of the mode."""
    segment = sysv_shm(mode=0o600)
    segment.set_status(mode=0o640)
    assert oct(segment.stat().perm.mode) == oct(0o640)


@clause("shmctl.set-only-9-mode-bits", "shmctl(2)", "IPC_SET")
def test_ipc_set_takes_only_low_nine_bits(sysv_shm):
    """IPC_SET changes only the low nine bits of the mode."""
    segment = sysv_shm()
    shmctl_set(segment.id, mode=0o7777)
    assert oct(segment.stat().perm.mode) == oct(0o777)


@clause("shmctl.set-ctime", "shmctl(2)", "IPC_SET")
def test_ipc_set_updates_ctime(aged):
    """IPC_SET sets shm_ctime to the current time."""
    segment = aged("sysv_shm")
    made = segment.stat().ctime
    segment.set_status(mode=0o640)
    assert segment.stat().ctime > made


@clause("shmctl.rmid-unattached-at-once", "shmctl(2)", "IPC_RMID")
def test_ipc_rmid_destroys_unattached_segment_at_once(sysv_shm):
    """IPC_RMID destroys a segment without attachments at once."""
    segment = sysv_shm()
    shmctl_rmid(segment.id)
    with fails_with(EINVAL):
        shmctl_stat(segment.id)


@clause("shmctl.rmid-deferred", "shmctl(2)", "IPC_RMID")
def test_ipc_rmid_waits_for_last_shmdt(sysv_shm):
    """After IPC_RMID an attached segment stays usable for the attached processes, and is destroyed by the last
    shmdt()."""
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
def test_shm_dest_marks_pending_removal(sysv_shm):
    """SHM_DEST is set in the mode of a segment that is marked for destruction, and not before."""
    segment = sysv_shm()
    segment.attach()
    assert segment.stat().perm.mode == 0o600
    shmctl_rmid(segment.id)
    assert segment.stat().perm.mode == 0o600 | SHM_DEST


@clause("shmctl.rmid-key-freed", "shmctl(2)", "IPC_RMID")
def test_ipc_rmid_frees_key(sysv_shm, on_record):
    """IPC_RMID frees the key of a segment at once, even while it is attached: shmget() can create a new segment with
    it.
    """
    old = sysv_shm()
    old.attach().buf[0] = 7
    shmctl_rmid(old.id)
    new = on_record.shmget(old.key, old.size, IPC_CREAT | IPC_EXCL | 0o600)
    assert new != old.id
    assert (shmctl_stat(new).perm.key, old.stat().perm.key) == (old.key, IPC_PRIVATE)


@clause("shmctl.rmid-twice", "shmctl(2)", "IPC_RMID")
def test_second_ipc_rmid_changes_nothing(sysv_shm):
    """A second IPC_RMID of a segment that is marked for destruction succeeds and changes nothing."""
    segment = sysv_shm()
    attachment = segment.attach()
    shmctl_rmid(segment.id)
    shmctl_rmid(segment.id)
    attachment.buf[0] = 7
    assert segment.stat().nattch == 1


@clause("shmctl.rmid-exactly-one-succeeds", "shmctl(2)", "IPC_RMID")
def test_one_of_several_ipc_rmid_succeeds(sysv_shm, fork, pipe):
    """If several processes remove an unattached segment at the same time, IPC_RMID succeeds in one and fails with
    EINVAL in the others.
    """
    segment, gate = sysv_shm(), pipe()

    def remove() -> int:
        gate.close_write()
        gate.read(timeout=None)  # all children wait here until the gate closes
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
def test_ipc_info_returns_limits_of_proc():
    """IPC_INFO returns the limits that /proc/sys/kernel shows, and a minimum size of 1."""
    limits = shmctl_limits()
    shown = {name: limit(f"kernel/{name}") for name in ("shmmax", "shmmni", "shmall")}
    if None in shown.values():
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/shmmax, shmmni and shmall")
    # A limit of a 64-bit kernel may not fit into a field of a 32-bit program.
    most = ULONG[1] if sizeof(c_ulong) == 8 else LONG[1]
    fitting = {name: value for name, value in shown.items() if value is not None and value <= most}
    assert {name: getattr(limits, name) for name in fitting} == fitting
    assert limits.shmmin == 1


@clause("shmctl.shm_info-sums", "shmctl(2)", "SHM_INFO")
def test_shm_info_sums_segments(in_ipc_namespace, page):
    """SHM_INFO returns the number of segments, their total pages and their resident pages."""

    def sums() -> tuple[int, int, int]:
        shmget(IPC_PRIVATE, 1, 0o600)
        second = shmget(IPC_PRIVATE, 2 * page + 1, 0o600)
        memset(shmat(second), 1, 2 * page)
        info = shmctl_info()
        return info.used_ids, info.shm_tot, info.shm_rss

    assert in_ipc_namespace({}, sums) == (2, 4, 2)


@clause("shmctl.shm_stat-index", "shmctl(2)", "SHM_STAT")
def test_shm_stat_takes_index(in_ipc_namespace):
    """SHM_STAT takes an index into the kernel's table and returns the identifier of that segment; an unused index fails
    with EINVAL.
    """

    def by_index() -> bool:
        shmid = shmget(IPC_PRIVATE, 4321, 0o600)
        highest = shmctl_info().highest
        found = shmctl_stat(highest, SHM_STAT)
        with fails_with(EINVAL):
            shmctl_stat(highest + 1, SHM_STAT)
        return (found.id, found.segsz) == (shmid, 4321)

    assert in_ipc_namespace({}, by_index)


@clause("shmctl.lock-unlock-flag", "shmctl(2)", "SHM_LOCK")
def test_shm_lock_shows_in_mode(sysv_shm):
    """SHM_LOCK sets SHM_LOCKED in the mode, and SHM_UNLOCK clears it."""
    segment = sysv_shm()
    try:
        segment.control(SHM_LOCK)
    except PermissionError as error:
        untested(Need.PROCESS_LIMITS, f"needs CAP_IPC_LOCK or room under RLIMIT_MEMLOCK: {error.strerror}")
    assert segment.stat().perm.mode == 0o600 | SHM_LOCKED
    segment.control(SHM_UNLOCK)
    assert segment.stat().perm.mode == 0o600


@clause("proc.sysvipc-shm-row", "proc_sysvipc(5)", "/proc/sysvipc/")
def test_proc_sysvipc_shm_shows_segment(sysv_shm):
    """/proc/sysvipc/shm has one line for each segment, with the values that IPC_STAT returns."""
    segment = sysv_shm(12345, mode=0o640)
    segment.attach()
    rows = sysvipc_shm()
    if rows is None:
        untested(Need.PROC_FILES, "needs /proc/sysvipc")
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

"""sysvipc(7), ftok(3), ipcs(1), ipcrm(1): keys, identifiers, permission classes, and the programs ipcs and ipcrm."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from errno import ENOENT

from pytest_ipc import Need, Segment, clause, fails_with, untested, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_PRIVATE,
    SHM_RDONLY,
    capabilities,
    ftok,
    limit,
    msgget,
    semget,
    shmat,
    shmctl_rmid,
    shmctl_set,
    shmdt,
    shmget,
)

from ..credentials import GROUP, MEMBER, OTHER_GROUP, OWNER, STRANGER, become, capabilities_count_for

CAP_IPC_OWNER = 15


@clause("ftok.stable-same-inode", "ftok(3)", "DESCRIPTION")
def test_ftok_depends_on_file_and_low_eight_bits(tmp_path):
    """ftok() returns the same key for the same file and the same low eight bits of proj_id, and another key for another
    proj_id.
    """
    path = tmp_path / "file"
    path.touch()
    assert ftok(path, 0x41) == ftok(path, 0x41) == ftok(path, 0x7741)
    assert ftok(path, 0x41) != ftok(path, 0x42)


@clause("ftok.hardlink-same-key", "ftok(3)", "DESCRIPTION")
def test_ftok_of_hard_links_is_equal(tmp_path):
    """ftok() returns the same key for all pathnames of one file."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.touch()
    os.link(path, link)
    assert ftok(link, 1) == ftok(path, 1)


@clause("ftok.missing-path", "ftok(3)", "RETURN VALUE", errno=ENOENT)
def test_ftok_of_missing_path_fails(tmp_path):
    """ftok() returns -1 for a pathname that does not exist and sets errno as stat() does, to ENOENT."""
    with fails_with(ENOENT):
        ftok(tmp_path / "nothing", 1)


@clause("ipc.keys-independent-per-type", "sysvipc(7)", "DESCRIPTION")
def test_key_is_independent_per_type(in_ipc_namespace):
    """One key can name a segment, a semaphore set and a message queue at once; each is found and removed
    independently."""

    def make_and_find() -> bool:
        key = unused_key()
        made = shmget(key, 1, IPC_CREAT | 0o600), semget(key, 1, IPC_CREAT | 0o600), msgget(key, IPC_CREAT | 0o600)
        shmctl_rmid(made[0])
        with fails_with(ENOENT):
            shmget(key, 0, 0)
        return made[1:] == (semget(key, 0, 0), msgget(key, 0))  # removing the segment keeps the others

    assert in_ipc_namespace({}, make_and_find)


@clause("ipc.id-not-reused-at-once", "shmctl(2)", "DESCRIPTION")
def test_identifier_is_not_reused_at_once(in_ipc_namespace):
    """The identifier of a removed segment is not reused at once, although its table entry is."""

    def identifiers() -> list[int]:
        found = []
        for _ in range(20):
            found.append(shmget(IPC_PRIVATE, 1, 0o600))
            shmctl_rmid(found[-1])
        return found

    found = in_ipc_namespace({}, identifiers)
    assert len(set(found)) == len(found)


@clause("ipc.mode-class-selection", "POSIX.1-2024", "2.7.1 IPC General Description")
def test_first_matching_class_decides(sysv_shm, as_user):
    """Of the classes owner, group and others only the first that matches the process is checked, even if a later one
    permits more.
    """
    segment = sysv_shm()
    segment_for(segment, 0o066)
    assert not as_user(OWNER, GROUP, readable, segment.id)
    segment_for(segment, 0o606)
    assert not as_user(MEMBER, GROUP, readable, segment.id)
    assert as_user(STRANGER, OTHER_GROUP, readable, segment.id)


@clause("ipc.creator-class-too", "POSIX.1-2024", "2.7.1 IPC General Description")
def test_creator_is_in_owner_class(fork, on_record):
    """The creator of a segment is checked against the owner's permission bits after IPC_SET has changed the owner."""

    def give_away_and_read() -> tuple[bool, bool]:
        become(OWNER, GROUP)
        shmid = on_record.shmget(IPC_PRIVATE, 1, 0o600)
        shmctl_set(shmid, uid=STRANGER, mode=0o400)
        with_bit = readable(shmid)
        shmctl_set(shmid, uid=STRANGER, mode=0o044)
        without = readable(shmid)
        return with_bit, without

    assert fork(give_away_and_read).result() == (True, False)


@clause("ipc.cap_ipc_owner-bypass", "capabilities(7)", "CAP_IPC_OWNER")
def test_cap_ipc_owner_bypasses_permission_checks(sysv_shm):
    """A process with CAP_IPC_OWNER may attach a segment for reading and writing whatever its mode."""
    segment = sysv_shm(mode=0)
    if not (capabilities() or 0) >> CAP_IPC_OWNER & 1 or not capabilities_count_for("ipc"):
        untested(Need.CAP_IPC_OWNER, "needs CAP_IPC_OWNER")
    segment.attach().buf[0] = 7
    assert segment.stat().perm.mode == 0


@clause("ipcs.lists-object", "ipcs(1)", "OPTIONS")
def test_ipcs_lists_segment(sysv_shm):
    """`ipcs -m` shows the key, identifier, owner, permissions, size and number of attachments of a segment."""
    segment = sysv_shm(12345, mode=0o640)
    segment.attach()
    rows = [line.split() for line in run("ipcs", "-m").stdout.splitlines()]
    found = [row for row in rows if len(row) > 1 and row[1] == str(segment.id)]
    assert len(found) == 1, f"{len(found)} rows show the segment"
    try:
        owner = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        owner = str(os.geteuid())
    assert found[0][:6] == [f"{segment.key:#010x}", str(segment.id), owner[:10], "640", "12345", "1"]


@clause("ipcs.limits-match-proc", "ipcs(1)", "OPTIONS")
def test_ipcs_shows_shmmni():
    """`ipcs -m -l` shows the maximum number of segments from /proc/sys/kernel/shmmni."""
    shown = limit("kernel/shmmni")
    if shown is None:
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/shmmni")
    lines = run("ipcs", "-m", "-l").stdout.splitlines()
    assert [line for line in lines if line.split()[-1:] == [str(shown)]], "; ".join(lines)


@clause("ipcrm.by-key-and-id", "ipcrm(1)", "OPTIONS")
def test_ipcrm_removes_by_key_and_by_id(sysv_shm):
    """`ipcrm -M` removes a segment by key and `ipcrm -m` by identifier; for a nonexistent identifier it exits with an
    error.
    """
    by_key, by_id = sysv_shm(), sysv_shm()
    assert run("ipcrm", "-M", f"{by_key.key:#x}").returncode == 0
    assert (by_key.exists(), by_id.exists()) == (False, True)
    assert run("ipcrm", "-m", str(by_id.id)).returncode == 0
    assert not by_id.exists()
    assert run("ipcrm", "-m", str(by_id.id)).returncode != 0


def segment_for(segment: Segment, mode: int) -> None:
    """Give the segment to OWNER and GROUP with *mode*."""
    try:
        segment.set_status(uid=OWNER, gid=GROUP, mode=mode)
    except OSError as error:
        untested(Need.OTHER_USERS, f"cannot give a segment to another user: {error.strerror}")


def readable(shmid: int) -> bool:
    try:
        shmdt(shmat(shmid, None, SHM_RDONLY))
    except PermissionError:
        return False
    return True


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of util-linux; report untested if it is not installed."""
    program = shutil.which(name)
    if program is None:
        untested(Need.PROGRAMS, f"needs the program {name}")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, check=False)

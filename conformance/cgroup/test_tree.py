"""cgroups(7): members, events, and limits of the number of cgroups."""

from __future__ import annotations

import os
from errno import EAGAIN, EBUSY
from pathlib import Path
from select import POLLERR, POLLPRI
from signal import SIGKILL

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import pause, poll

from ..signal.plain_child import add_thread

EVENTS = "Cgroups v2 cgroup.events file"
LIMITS = "Limiting the number of descendant cgroups"


@clause("cgroup.procs-moves", "cgroups(7)", "Creating cgroups and moving processes")
def test_procs_moves_a_process(cgroup, member):
    """Writing a PID to cgroup.procs moves the process: it is listed there and no longer in its previous cgroup."""
    before, after = cgroup.below("before"), cgroup.below("after")
    child = member(pause, of=before)
    assert (before.members, after.members) == ([child.pid], [])
    after.take(child)
    assert (before.members, after.members) == ([], [child.pid])


@clause("cgroup.procs-moves-threads", "cgroups(7)", "CGROUPS VERSION 2 THREAD MODE")
def test_procs_moves_all_threads(cgroup, member, pipe):
    """Writing a PID to cgroup.procs moves all threads of the process."""
    ready, target = pipe(), cgroup.below("target")

    def in_child() -> None:
        add_thread()
        ready.write(b"!")
        pause()

    child = member(in_child)
    assert ready.read(1) == b"!"
    target.take(child)
    threads = [int(name) for name in os.listdir(f"/proc/{child.pid}/task")]
    assert len(threads) == 2
    found = {Path(f"/proc/{child.pid}/task/{tid}/cgroup").read_text().splitlines()[-1] for tid in threads}
    assert len(found) == 1
    assert found.pop().endswith("/target")


@clause("cgroup.fork-inherits", "cgroups(7)", "Creating cgroups and moving processes")
def test_child_inherits_the_cgroup(cgroup, member, pipe):
    """A child starts in the cgroup of its parent, and stays there when the parent is moved."""
    go, report, target = pipe(), pipe(), cgroup.below("target")

    def in_child() -> None:
        go.read(1, timeout=None)
        with Child.start(pause) as child:
            report.write(child.pid.to_bytes(4, "little"))
            pause()

    parent = member(in_child)
    go.write(b"!")
    child = int.from_bytes(report.read(4), "little")
    assert sorted(cgroup.members) == sorted([parent.pid, child])
    target.take(parent)
    assert (cgroup.members, target.members) == ([child], [parent.pid])


@clause("cgroup.proc-pid-cgroup", "cgroups(7)", "/proc files")
def test_proc_pid_cgroup_shows_the_path(cgroup, member):
    """/proc/PID/cgroup has one line "0::" with the path of the process's cgroup in the hierarchy."""
    child = member(pause)
    lines = [line for line in Path(f"/proc/{child.pid}/cgroup").read_text().splitlines() if line.startswith("0::")]
    assert len(lines) == 1
    assert lines[0].endswith(f"/{cgroup.path.name}")


@clause("cgroup.populated", "cgroups(7)", EVENTS)
def test_populated_counts_descendants(cgroup, member):
    """ "populated" in cgroup.events is 1 if the cgroup or a descendant has a process, and otherwise 0."""
    below, beside = cgroup.below("below"), cgroup.below("beside")
    assert cgroup.key("cgroup.events", "populated") == 0
    child = member(pause, of=below)
    assert [group.key("cgroup.events", "populated") for group in (cgroup, below, beside)] == [1, 1, 0]
    child.signal(SIGKILL)
    child.wait()
    assert cgroup.has("populated", 0)


@clause("cgroup.populated-told", "cgroups(7)", EVENTS)
def test_poll_reports_a_change_of_populated(cgroup, member):
    """poll() on cgroup.events reports POLLPRI and POLLERR when the
    first process is added and when the last one terminates.
    """
    fd = os.open(cgroup.path / "cgroup.events", os.O_RDONLY)
    try:
        os.pread(fd, 4096, 0)
        child = member(pause)
        assert poll({fd: POLLPRI}, 5000).get(fd, 0) & (POLLPRI | POLLERR) == POLLPRI | POLLERR
        os.pread(fd, 4096, 0)
        child.signal(SIGKILL)
        child.wait()
        assert poll({fd: POLLPRI}, 5000).get(fd, 0) & (POLLPRI | POLLERR) == POLLPRI | POLLERR
        assert cgroup.has("populated", 0)
    finally:
        os.close(fd)


@clause("cgroup.zombie-is-no-member", "cgroups(7)", "Cgroup v2 release notification")
def test_zombie_is_not_a_member(cgroup, member):
    """A zombie is not a member of its cgroup, which is not populated and can be removed."""
    target = cgroup.below("target")
    child = member(pause, of=target)
    os.kill(child.pid, SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert target.has("populated", 0)
    assert target.members == []
    os.rmdir(target.path)
    assert child.wait() == -SIGKILL


@clause("cgroup.rmdir-ebusy", "cgroups(7)", "Removing cgroups", errno=EBUSY)
@pytest.mark.parametrize("holds", ["member", "cgroup"])
def test_rmdir_of_a_used_cgroup_fails(cgroup, member, holds):
    """rmdir() of a cgroup with a process or with a child cgroup fails with EBUSY."""
    target = cgroup.below("target")
    if holds == "member":
        child = member(pause, of=target)
    else:
        target.below("below")
    with fails_with(EBUSY):
        os.rmdir(target.path)
    assert target.path.exists()
    if holds == "member":
        assert target.members == [child.pid]


@clause("cgroup.max-descendants", "cgroups(7)", LIMITS, errno=EAGAIN, since="4.14")
def test_max_descendants_limits_cgroups(cgroup):
    """mkdir() of a cgroup fails with EAGAIN if it exceeds
    cgroup.max.descendants of an ancestor, and succeeds after one is removed.
    """
    assert cgroup.read("cgroup.max.descendants") == "max\n"
    cgroup.write("cgroup.max.descendants", "2")
    first = cgroup.below("first")
    second = first.below("second")
    with fails_with(EAGAIN):
        cgroup.below("third")
    os.rmdir(second.path)
    cgroup.below("third")


@clause("cgroup.max-depth", "cgroups(7)", LIMITS, errno=EAGAIN, since="4.14")
def test_max_depth_limits_nesting(cgroup):
    """mkdir() of a cgroup fails with EAGAIN if it exceeds cgroup.max.depth of an ancestor; 0 permits none."""
    assert cgroup.read("cgroup.max.depth") == "max\n"
    cgroup.write("cgroup.max.depth", "1")
    first = cgroup.below("first")
    with fails_with(EAGAIN):
        first.below("second")
    os.rmdir(first.path)
    cgroup.write("cgroup.max.depth", "0")
    with fails_with(EAGAIN):
        cgroup.below("first")
    cgroup.write("cgroup.max.depth", "max")
    cgroup.below("first").below("second")


@clause("cgroup.stat-descendants", "cgroups(7)", "Cgroups v2 cgroup.stat file", since="4.14")
def test_nr_descendants_counts_cgroups(cgroup):
    """ "nr_descendants" in cgroup.stat is the number of existing descendants of the cgroup."""
    counts = [cgroup.key("cgroup.stat", "nr_descendants")]
    first = cgroup.below("first")
    second = first.below("second")
    counts.append(cgroup.key("cgroup.stat", "nr_descendants"))
    os.rmdir(second.path)
    counts.append(cgroup.key("cgroup.stat", "nr_descendants"))
    assert counts == [0, 2, 1]

"""The freezer of version 2: processes stop without a signal until they are thawed."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EINVAL, ERANGE
from select import POLLERR, POLLIN, POLLPRI
from signal import SIGKILL, SIGUSR1, signal

import pytest

from pytest_ipc import Pipe, clause, fails_with
from pytest_ipc.kernel import pause, poll

# The kernel's document that cgroups(7) refers to.
KERNEL, FILES = "cgroup-v2.rst", "Core Interface Files"


class Echo:
    """The function of a child that sends back each byte it reads, and the parent's end of it."""

    def __init__(self, pipe: Callable[..., Pipe]) -> None:
        self.requests, self.responses = pipe(), pipe()

    def __call__(self) -> None:
        while data := self.requests.read(1):
            self.responses.write(data)

    def request(self) -> None:
        """Send a byte to the child."""
        self.requests.write(b"?")

    def replies(self, milliseconds: int = 5000) -> bool:
        """Return whether the child sends the byte back within the timeout."""
        if not poll({self.responses.read_fd: POLLIN}, milliseconds):
            return False
        return self.responses.read(1) == b"?"


@pytest.fixture
def echo(pipe) -> Echo:
    """Create the function of a child that sends back each byte."""
    return Echo(pipe)


@clause("cgroup.freeze-stops", KERNEL, FILES, since="5.2")
def test_frozen_processes_do_not_run(cgroup, member, echo):
    """Writing 1 to cgroup.freeze stops the processes of the cgroup, and then sets "frozen" in cgroup.events to 1."""
    member(echo)
    echo.request()
    assert echo.replies()
    assert cgroup.key("cgroup.events", "frozen") == 0
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    echo.request()
    assert not echo.replies(50)


@clause("cgroup.thaw", KERNEL, FILES, since="5.2")
def test_thawed_processes_continue(cgroup, member, echo):
    """Writing 0 to cgroup.freeze resumes the processes of the cgroup, and sets "frozen" in cgroup.events to 0."""
    member(echo)
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    echo.request()
    cgroup.freeze(False)
    assert echo.replies()
    assert cgroup.has("frozen", 0)


@clause("cgroup.freeze-value", KERNEL, FILES, since="5.2")
def test_freeze_reads_back(cgroup):
    """cgroup.freeze is initially 0, and reads back the value written."""
    cgroup.freeze(False)
    for frozen in (False, True, False):
        assert cgroup.read("cgroup.freeze") == f"{frozen:d}\n"
        cgroup.freeze(not frozen)


@clause("cgroup.freeze-einval", KERNEL, FILES, errno=EINVAL, since="5.2")
@pytest.mark.parametrize("text", ["2", "-1", "x"])
def test_other_values_fail(cgroup, text):
    """write() of any value but 0 and 1 to cgroup.freeze fails with EINVAL or ERANGE, and changes nothing."""
    cgroup.freeze(False)
    with fails_with(EINVAL, ERANGE):
        cgroup.write("cgroup.freeze", text)
    assert cgroup.read("cgroup.freeze") == "0\n"


@clause("cgroup.freeze-descendants", KERNEL, FILES, since="5.2")
def test_descendants_are_frozen(cgroup, member, echo):
    """Freezing a cgroup stops the processes of its descendants and
    sets their "frozen" to 1; their cgroup.freeze stays 0.
    """
    below = cgroup.below("below")
    member(echo, of=below)
    cgroup.freeze()
    assert below.has("frozen", 1)
    echo.request()
    assert not echo.replies(50)
    assert below.read("cgroup.freeze") == "0\n"
    cgroup.freeze(False)
    assert echo.replies()


@clause("cgroup.frozen-by-an-ancestor", KERNEL, FILES, since="5.2")
def test_frozen_ancestor_keeps_a_cgroup_frozen(cgroup, member, echo):
    """A cgroup stays frozen while an ancestor is frozen, whatever its own cgroup.freeze."""
    below = cgroup.below("below")
    member(echo, of=below)
    below.freeze()
    cgroup.freeze()
    assert below.has("frozen", 1)
    below.freeze(False)
    echo.request()
    assert not echo.replies(50)
    assert below.key("cgroup.events", "frozen") == 1
    cgroup.freeze(False)
    assert echo.replies()


@clause("cgroup.frozen-told", "cgroups(7)", "Cgroups v2 cgroup.events file", since="5.2")
def test_poll_reports_a_change_of_frozen(cgroup, member):
    """poll() on cgroup.events reports POLLPRI and POLLERR when the value of "frozen" changes."""
    member(pause)
    cgroup.freeze(False)
    fd = os.open(cgroup.path / "cgroup.events", os.O_RDONLY)
    try:
        for frozen in (True, False):
            os.pread(fd, 4096, 0)
            assert not poll({fd: POLLPRI}, 0).get(fd, 0) & POLLPRI
            cgroup.freeze(frozen)
            assert poll({fd: POLLPRI}, 5000).get(fd, 0) & (POLLPRI | POLLERR) == POLLPRI | POLLERR
            assert cgroup.has("frozen", int(frozen))
    finally:
        os.close(fd)


@clause("cgroup.frozen-can-be-killed", KERNEL, FILES, since="5.2")
def test_a_frozen_process_can_be_killed(cgroup, member):
    """A frozen process can be killed by SIGKILL, and the cgroup stays frozen."""
    child = member(pause)
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL
    assert cgroup.read("cgroup.freeze") == "1\n"


@clause("cgroup.frozen-handles-no-signal", KERNEL, FILES, since="5.2")
def test_frozen_process_handles_no_signal(cgroup, member, pipe):
    """The handler of a signal sent to a frozen process runs only after the process is thawed."""
    handled = pipe()

    def in_child() -> None:
        signal(SIGUSR1, lambda *_: handled.write(b"!"))
        handled.write(b"r")
        while True:
            try:
                pause()
            except InterruptedError:
                continue

    child = member(in_child)
    assert handled.read(1) == b"r"
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    child.signal(SIGUSR1)
    assert not poll({handled.read_fd: POLLIN}, 50)
    cgroup.freeze(False)
    assert handled.read(1) == b"!"


@clause("cgroup.moved-in-is-frozen", KERNEL, FILES, since="5.2")
def test_process_moved_into_a_frozen_cgroup_stops(cgroup, member, echo):
    """A process moved into a frozen cgroup stops."""
    outside = cgroup.below("outside")
    inside = cgroup.below("inside")
    inside.freeze()
    child = member(echo, of=outside)
    echo.request()
    assert echo.replies()
    inside.take(child)
    assert inside.has("frozen", 1)
    echo.request()
    assert not echo.replies(50)


@clause("cgroup.moved-out-runs", KERNEL, FILES, since="5.2")
def test_process_moved_out_of_a_frozen_cgroup_runs(cgroup, member, echo):
    """A process moved out of a frozen cgroup runs again."""
    outside = cgroup.below("outside")
    inside = cgroup.below("inside")
    child = member(echo, of=inside)
    inside.freeze()
    assert inside.has("frozen", 1)
    echo.request()
    assert not echo.replies(50)
    outside.take(child)
    assert echo.replies()


@clause("cgroup.frozen-can-be-removed", KERNEL, FILES, since="5.2")
def test_frozen_cgroup_can_be_changed_and_removed(cgroup):
    """A frozen cgroup can get and lose descendants, and can be removed if it is empty."""
    frozen = cgroup.below("frozen")
    frozen.freeze()
    below = frozen.below("below")
    assert below.has("frozen", 1)
    os.rmdir(below.path)
    os.rmdir(frozen.path)
    assert not frozen.path.exists()


@clause("cgroup.kill", KERNEL, FILES, since="5.14")
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_cgroup_kill_kills_all_members(cgroup, member, frozen):
    """Writing 1 to cgroup.kill kills all processes of the cgroup and its descendants, frozen or not, and no others."""
    other = cgroup.below("other")
    target = cgroup.below("target")
    below = target.below("below")
    spared = member(pause, of=other)
    children = [member(pause, of=target), member(pause, of=below)]
    if frozen:
        target.freeze()
        assert target.has("frozen", 1)
    target.write("cgroup.kill", "1")
    assert [child.wait() for child in children] == [-SIGKILL, -SIGKILL]
    spared.wait_blocked("pause")

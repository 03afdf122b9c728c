"""The freezer of version 2: processes that stop running, without a signal, until they are let run again."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EINVAL, ERANGE
from select import POLLERR, POLLIN, POLLPRI
from signal import SIGKILL, SIGUSR1, signal

import pytest

from pytest_ipc import Pipe, clause, fails_with
from pytest_ipc.kernel import pause, poll

# The kernel's own document, to which cgroups(7) sends its reader.
KERNEL, FILES = "cgroup-v2.rst", "Core Interface Files"


class Echo:
    """A child's life that answers each byte with the same, and its parent's side of it."""

    def __init__(self, pipe: Callable[..., Pipe]) -> None:
        self.asked, self.answer = pipe(), pipe()

    def __call__(self) -> None:
        while data := self.asked.read(1):
            self.answer.write(data)

    def ask(self) -> None:
        """Send it a byte."""
        self.asked.write(b"?")

    def answers(self, milliseconds: int = 5000) -> bool:
        """Whether it answers within a time."""
        if not poll({self.answer.read_fd: POLLIN}, milliseconds):
            return False
        return self.answer.read(1) == b"?"


@pytest.fixture
def echo(pipe) -> Echo:
    """A child's life that answers."""
    return Echo(pipe)


@clause("cgroup.freeze-stops", KERNEL, FILES, since="5.2")
def test_frozen_processes_do_not_run(cgroup, member, echo):
    """Writing 1 to cgroup.freeze stops the processes of the cgroup; when they are stopped "frozen" in cgroup.events is 1."""
    member(echo)
    echo.ask()
    assert echo.answers()
    assert cgroup.key("cgroup.events", "frozen") == 0
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    echo.ask()
    assert not echo.answers(50)


@clause("cgroup.thaw", KERNEL, FILES, since="5.2")
def test_thawed_processes_run_on(cgroup, member, echo):
    """Writing 0 to cgroup.freeze lets the processes run on where they were, and "frozen" becomes 0."""
    member(echo)
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    echo.ask()
    cgroup.freeze(False)
    assert echo.answers()
    assert cgroup.has("frozen", 0)


@clause("cgroup.freeze-value", KERNEL, FILES, since="5.2")
def test_the_setting_is_told(cgroup):
    """cgroup.freeze is 0 at first, and then what was written."""
    cgroup.freeze(False)
    for frozen in (False, True, False):
        assert cgroup.read("cgroup.freeze") == f"{frozen:d}\n"
        cgroup.freeze(not frozen)


@clause("cgroup.freeze-einval", KERNEL, FILES, errno=EINVAL, since="5.2")
@pytest.mark.parametrize("text", ["2", "-1", "x"])
def test_another_setting_is_refused(cgroup, text):
    """cgroup.freeze takes 0 and 1 and nothing else."""
    cgroup.freeze(False)
    with fails_with(EINVAL, ERANGE):
        cgroup.write("cgroup.freeze", text)
    assert cgroup.read("cgroup.freeze") == "0\n"


@clause("cgroup.freeze-descendants", KERNEL, FILES, since="5.2")
def test_those_below_are_frozen_too(cgroup, member, echo):
    """Freezing a cgroup stops the processes of those below it, too, which are told as frozen; their own setting stays."""
    below = cgroup.below("below")
    member(echo, of=below)
    cgroup.freeze()
    assert below.has("frozen", 1)
    echo.ask()
    assert not echo.answers(50)
    assert below.read("cgroup.freeze") == "0\n"
    cgroup.freeze(False)
    assert echo.answers()


@clause("cgroup.frozen-by-an-ancestor", KERNEL, FILES, since="5.2")
def test_an_ancestor_keeps_one_frozen(cgroup, member, echo):
    """A cgroup stays frozen as long as one above it is, whatever its own setting becomes."""
    below = cgroup.below("below")
    member(echo, of=below)
    below.freeze()
    cgroup.freeze()
    assert below.has("frozen", 1)
    below.freeze(False)
    echo.ask()
    assert not echo.answers(50)
    assert below.key("cgroup.events", "frozen") == 1
    cgroup.freeze(False)
    assert echo.answers()


@clause("cgroup.frozen-told", "cgroups(7)", "Cgroups v2 cgroup.events file", since="5.2")
def test_a_change_is_told(cgroup, member):
    """poll(2) on cgroup.events reports POLLPRI and POLLERR when the value of "frozen" has changed."""
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
    """A frozen process can be killed by a signal, and the cgroup stays frozen."""
    child = member(pause)
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL
    assert cgroup.read("cgroup.freeze") == "1\n"


@clause("cgroup.frozen-handles-no-signal", KERNEL, FILES, since="5.2")
def test_a_frozen_process_handles_no_signal(cgroup, member, pipe):
    """A signal that is caught waits as long as the process is frozen: its handler runs when the process runs again."""
    told = pipe()

    def life() -> None:
        signal(SIGUSR1, lambda *_: told.write(b"!"))
        told.write(b"r")
        while True:
            try:
                pause()
            except InterruptedError:
                continue

    child = member(life)
    assert told.read(1) == b"r"
    cgroup.freeze()
    assert cgroup.has("frozen", 1)
    child.signal(SIGUSR1)
    assert not poll({told.read_fd: POLLIN}, 50)
    cgroup.freeze(False)
    assert told.read(1) == b"!"


@clause("cgroup.moved-in-is-frozen", KERNEL, FILES, since="5.2")
def test_who_comes_into_a_frozen_cgroup_stops(cgroup, member, echo):
    """A process that is moved into a frozen cgroup stops."""
    outside = cgroup.below("outside")
    inside = cgroup.below("inside")
    inside.freeze()
    child = member(echo, of=outside)
    echo.ask()
    assert echo.answers()
    inside.take(child)
    assert inside.has("frozen", 1)
    echo.ask()
    assert not echo.answers(50)


@clause("cgroup.moved-out-runs", KERNEL, FILES, since="5.2")
def test_who_leaves_a_frozen_cgroup_runs(cgroup, member, echo):
    """A process that is moved out of a frozen cgroup runs."""
    outside = cgroup.below("outside")
    inside = cgroup.below("inside")
    child = member(echo, of=inside)
    inside.freeze()
    assert inside.has("frozen", 1)
    echo.ask()
    assert not echo.answers(50)
    outside.take(child)
    assert echo.answers()


@clause("cgroup.frozen-can-be-removed", KERNEL, FILES, since="5.2")
def test_freezing_is_no_matter_of_the_tree(cgroup):
    """A frozen cgroup can have cgroups made below it and removed, and can be removed itself when it is empty."""
    frozen = cgroup.below("frozen")
    frozen.freeze()
    below = frozen.below("below")
    assert below.has("frozen", 1)
    os.rmdir(below.path)
    os.rmdir(frozen.path)
    assert not frozen.path.exists()


@clause("cgroup.kill", KERNEL, FILES, since="5.14")
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_all_members_can_be_killed(cgroup, member, frozen):
    """Writing 1 to cgroup.kill kills the processes of the cgroup and of those below, frozen or not, and no others."""
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

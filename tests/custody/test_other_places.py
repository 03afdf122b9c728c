"""Ledgers of this or another boot or machine, and of visible or hidden processes.

What cannot be judged is named and not touched, whether its process lives or not.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import scope
from pytest_ipc.custody import machine, namespaces, parse, state_paths
from pytest_ipc.custody import sweep as sweeping
from pytest_ipc.custody.identity import Process, start_of
from pytest_ipc.custody.machine import boot_id, machine_id
from pytest_ipc.custody.namespaces import pid_namespace
from pytest_ipc.custody.removal import Swept
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.custody.status import lines, status
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import MS_REC, MS_SLAVE, Deadline, mount, prctl
from pytest_ipc.kernel.namespace import CLONE_NEWNS, CLONE_NEWPID, unshare
from pytest_ipc.processes.trial import trial

from .forging import FIRST_BOOT, LONG_AGO, about, file_made, forge, one_line
from .test_state_directory import NOBODY, anew


@pytest.fixture
def fifo(state_dir) -> Path:
    """Return a FIFO in a private folder, as a run makes it."""
    folder: Path = state_dir.parent / f"pytest-ipc-{11:016x}"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def about_fifo(fifo: Path) -> str:
    return about(1, "fifo", path=str(fifo), directory=str(fifo.parent))


OTHERS: dict[str, tuple[dict[str, Any], float | None, str]] = {
    "another machine": ({"machine": "0" * 32}, LONG_AGO, "it was written on another machine"),
    "no machine on record": ({"machine": ...}, LONG_AGO, "it was written on another machine"),
    "written since this kernel started": ({}, None, "another kernel has written to it since this one started"),
    "a shared file system": (
        {},
        LONG_AGO,
        "it is from another boot, on a file system that several machines may share",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_boot_id_alone_does_not_mean_dead(state_dir, fifo, monkeypatch, other):
    """Two machines, or a machine and a microVM, may share the folder: to each the other's boot is none of its own."""
    if not machine_id():
        pytest.skip("this machine has no id")
    changes, written, reason = OTHERS[other]
    if other == "a shared file system":
        monkeypatch.setattr(machine, "_LOCAL", set())
    path = forge(state_dir, about_fifo(fifo), file_made(fifo), boot=FIRST_BOOT, **changes)
    os.utime(path, None if written is None else (written, written))
    line = one_line(sweep())
    assert line.startswith(f"FIFO {fifo} of process ")
    assert f"whether it is alive cannot be determined here: {reason}" in line
    assert fifo.exists()
    assert path.exists()
    assert any(reason in shown for shown in lines(status()))


@pytest.mark.parametrize(
    ("age", "lines", "remains"),
    [(100_000, 0, False), (80_000, 0, True), (100_000, 1, True)],
    ids=["old", "new", "in use"],
)
def test_old_empty_ledger_of_unknown_process_is_removed(state_dir, fifo, age, lines, remains):
    """Nobody can ever show that its process has ended, so such ledgers would add up."""
    path = forge(state_dir, *[about_fifo(fifo), file_made(fifo)][: 2 * lines], boot=FIRST_BOOT, machine="0" * 32)
    os.utime(path, (time.time() - age,) * 2)
    assert sweep(dry_run=True).removed == []
    assert path.exists()
    sweep()
    assert path.exists() is remains


@pytest.mark.usefixtures("own")
def test_living_process_whose_ledger_was_removed_writes_a_new_one(state_dir):
    with scope() as ipc:
        ipc.sysv_shm()
        (path,) = state_dir.glob("*.ledger")
        path.unlink()
        # The ledger looks for its file once per tick of the clock.
        assert Deadline(30).until(lambda: bool(ipc.sysv_shm()) and path.exists())
        segment = ipc.sysv_shm()
        assert str(segment.key) in path.read_text()


@pytest.mark.parametrize("same", [True, False], ids=["the same kernel", "another kernel"])
def test_boot_is_identified_without_boot_id(state_dir, fifo, monkeypatch, tmp_path, same):
    """Sandboxes of gVisor show none, have few process ids and nearly the same start times, and may share the folder."""
    line, look = machine._line, os.stat

    def without_boot_id(path: str) -> str:
        return "" if path.endswith("boot_id") else line(path)

    def remote(path: str) -> os.stat_result:
        return look(tmp_path if path == "/dev/null" else path)

    monkeypatch.setattr(machine, "_line", without_boot_id)
    for module in (machine, parse, sweeping):
        monkeypatch.setattr(module, "boot_id", boot_id.__wrapped__)
    with monkeypatch.context() as patch:
        if not same:
            patch.setattr("pytest_ipc.unpatched.os.stat", remote)
        boot = boot_id.__wrapped__()
    path = forge(state_dir, about_fifo(fifo), file_made(fifo), boot=boot)
    os.utime(path)
    done = sweep()
    assert (len(done.removed), len(done.left)) == ((1, 0) if same else (0, 1))
    assert fifo.exists() is not same


def test_machine_without_an_id(monkeypatch):
    """As machine-id(5) has it: all copies of an image that has not been started yet hold the same word."""
    monkeypatch.setattr(machine, "_line", lambda _path: "uninitialized")
    assert machine_id.__wrapped__() == ""


PR_SET_DUMPABLE = 4


def become_nobody() -> None:
    os.setgroups([])  # members of group 0 are shown all
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def test_a_process_that_proc_does_not_show_is_not_taken_for_dead(open_folder, fork, monkeypatch):
    """With hidepid, one that cannot be dumped is hidden from its own user, too."""
    if os.geteuid() != 0:
        pytest.skip("needs root: to mount /proc and to become another user")
    if (refusal := trial(lambda: unshare(CLONE_NEWNS))) is not None:
        pytest.skip(f"no mount namespace can be made here: {refusal}")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(open_folder))
    monkeypatch.setattr(state_paths, "SHARED", ())

    def life():
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_SLAVE)
        mount("proc", "/proc", "proc", 0, "hidepid=2")
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            become_nobody()
            prctl(PR_SET_DUMPABLE, 0)
            os.write(writer, b".")
            signal.pause()
        os.read(reader, 1)
        process = Process(pid, start_of(pid) or 0)
        become_nobody()
        anew()
        folder = open_folder / f"pytest-ipc-{11:016x}"
        folder.mkdir()
        os.mkfifo(folder / "fifo")
        state_dir = Path(state_dir_path())
        state_dir.mkdir(0o700)
        forge(state_dir, about_fifo(folder / "fifo"), file_made(folder / "fifo"), process=process)
        hidden, line, there = start_of(pid) is None, one_line(sweep()), folder.exists()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return hidden, line, there, len(sweep().removed)

    hidden, line, there, removed = fork(life).result(timeout=30)
    assert (hidden, there, removed) == (True, True, 1)
    assert line.endswith("whether it is alive cannot be determined here: /proc does not show its process")


def test_ledger_without_open_records_is_not_mentioned(state_dir):
    path = forge(state_dir, boot=FIRST_BOOT, machine="0" * 32)
    os.utime(path)
    assert sweep() == Swept()
    assert path.exists()


def test_of_an_earlier_boot_of_this_machine_the_files_go(state_dir, fifo):
    if not machine_id():
        pytest.skip("this machine has no id")
    path = forge(state_dir, about_fifo(fifo), file_made(fifo), boot=FIRST_BOOT)
    assert len(sweep().removed) == 1
    assert not fifo.parent.exists()
    assert not path.exists()


# PID namespaces.


def test_a_process_of_another_pid_namespace_is_known_by_its_number_there(state_dir, fork, fifo):
    """From the first namespace, or an ancestor, all of its processes are visible."""

    def life():
        unshare(CLONE_NEWPID)
        with scope() as ipc:
            inner = ipc.fork(signal.pause)
            inner.wait_blocked("pause")
            print(inner.pid, flush=True)
            signal.pause()

    if (refusal := trial(lambda: unshare(CLONE_NEWPID))) is not None:
        pytest.skip(f"no PID namespace can be made here: {refusal}")
    child = fork(life)
    child.wait_blocked("pause")
    pid = int(child.output)
    namespace, start = namespaces._identity(f"/proc/{pid}/ns/pid"), start_of(pid)
    assert namespace is not None
    assert start is not None
    path = forge(state_dir, about_fifo(fifo), file_made(fifo), process=Process(1, start), pids=namespace)
    assert sweep() == Swept()
    assert path.exists()
    child.close()
    assert len(sweep().removed) == 1


def test_where_not_all_processes_are_seen_it_is_named(state_dir, fifo, monkeypatch):
    """Containers may share a temp folder: to each other their processes are numbers that are not there."""
    path = forge(state_dir, about_fifo(fifo), file_made(fifo), pids="pid:[4026500000]#77", inside="pid:[4026500000]#77")
    monkeypatch.setattr(namespaces, "pid_namespace", lambda: "pid:[4026500001]#78")
    line = one_line(sweep())
    assert line.endswith("its process is in pid:[4026500000]#77, which is not visible from here")
    assert fifo.exists()
    assert path.exists()
    monkeypatch.setattr(namespaces, "pid_namespace", lambda: "pid:[4026500000]#77")
    assert len(sweep().removed) == 1


def test_reused_pid_namespace_number_proves_nothing(state_dir, fifo):
    """The process of that number there is another one: it has started at another time."""
    own = Process.current()
    forge(
        state_dir,
        about_fifo(fifo),
        file_made(fifo),
        process=Process(own.pid, own.start + 1),
        pids=f"{pid_namespace()}#999",
    )
    assert len(sweep().removed) == 1


def test_the_boot_and_the_machine_are_on_record(own):
    line = (Path(os.environ["XDG_RUNTIME_DIR"]) / "pytest-ipc" / own.name).read_text().splitlines()[0]
    assert boot_id() in line
    assert machine_id() in line

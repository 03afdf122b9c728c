"""Who has caused a leak: this process, a child, a grandchild, a program, a daemon; proved, or said to be a guess."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline, sysvipc_shm

PROGRAM = """
import os, sys
from pytest_ipc import kernel
if "daemon" in sys.argv:
    if os.fork():
        os._exit(0)
    os.setsid()
kernel.shmget(kernel.IPC_PRIVATE, SIZE, 0o600)
"""


@pytest.mark.parametrize(
    "how",
    [
        "ipc.fork(make).result()",
        "ipc.fork(below, make).wait()",
        "below(make)",
        "assert ipc.spawn([sys.executable, 'program.py']).wait(timeout=60) == 0",
        "ipc.spawn([sys.executable, 'program.py', 'daemon']).wait(timeout=60); wait()",
        "multiprocessing.get_context('fork').Process(target=make).run()",
        "start(multiprocessing.get_context('fork').Process(target=make))",
    ],
)
def test_segment_is_charged_whoever_of_the_test_has_created_it(audited, pytester, how):
    size = 10_000 + os.getpid()  # no other worker has it
    (pytester.path / "program.py").write_text(PROGRAM.replace("SIZE", str(size)))
    source = f"""
    import multiprocessing, os, sys
    from pytest_ipc import kernel

    def make():
        kernel.shmget(kernel.IPC_PRIVATE, {size}, 0o600)

    def below(function):
        pid = os.fork()
        if pid == 0:
            function()
            os._exit(0)
        os.waitpid(pid, 0)

    def start(process):
        process.start()
        process.join()

    def wait():
        assert kernel.Deadline(60).until(lambda: any(row.size == {size} for row in kernel.sysvipc_shm()))

    def test_makes(ipc):
        {how}

    def test_next(ipc): pass
    """
    found = audited(source, "--ipc-leaks=fix")
    lines = [line for line in found.leaks["test_makes"] if f"{size} bytes" in line]
    assert len(lines) == 1, found.output
    assert "created by" in lines[0].partition("; ")[2]
    assert "this has been done" in lines[0]
    assert found.kinds("test_next") == set()
    assert not [row for row in sysvipc_shm() or () if row.size == size]


def test_a_strangers_segment_is_not_charged_while_it_lives(audited, tmp_path):
    ready = tmp_path / "ready"
    code = f"""
import os, signal
from pytest_ipc import kernel
assert kernel.Deadline(60).until(lambda: os.path.exists({str(ready) + ".go"!r}))
id = kernel.shmget(0, 4713, 0o600)
open({str(ready)!r}, "w").close()
signal.sigwait({{signal.SIGTERM}})
kernel.shmctl_rmid(id)
"""
    # Not a child of the pytest under test.
    stranger = subprocess.Popen(["env", "--block-signal=TERM", sys.executable, "-c", code])
    try:
        source = f"""
        from pathlib import Path
        from pytest_ipc import kernel

        def test_meets(ipc):
            Path({str(ready) + ".go"!r}).touch()
            assert kernel.Deadline(60).until(Path({str(ready)!r}).exists)
        """
        found = audited(source)
        assert not [line for line in found.leaks["test_meets"] if "4713 bytes" in line]
    finally:
        stranger.send_signal(signal.SIGTERM)
        assert stranger.wait(60) == 0


SERVER = """
import os, sys, signal
from pytest_ipc import kernel
ids = [kernel.shmget(kernel.IPC_PRIVATE, SIZE, 0o600) for _ in range(10)]
for number in range(10):
    fd = kernel.shm_open(f"/{sys.argv[1]}-{number}", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 4096)
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("options", [(), ("--ipc-isolate",)], ids=["shared", "isolated"])
@pytest.mark.parametrize(
    "kill", ["server.signal(signal.SIGKILL)", "os.kill(server.pid, signal.SIGKILL); server.wait()", "pass"]
)
def test_a_server_that_is_killed_leaves_nothing_and_its_test_is_named(
    audited, pytester, pytestconfig, tmp_path, options, kill
):
    count = pytestconfig.getoption("killed_servers")
    size = 10_000 + os.getpid()  # no other worker has it
    (pytester.path / "server.py").write_text(SERVER.replace("SIZE", str(size)))
    prefix = f"server-{os.getpid()}-{tmp_path.name}"
    source = f"""
    import os, signal, sys, pytest

    @pytest.mark.parametrize("number", range({count}))
    def test_server(ipc, number):
        server = ipc.spawn([sys.executable, "server.py", f"{prefix}-{{number}}"])
        server.wait_for_output("ready", timeout=60)
        {kill}
    """
    found = audited(source, "--ipc-leaks=fix", "-n", "2", *options)
    assert set(found.outcomes.values()) == {"passed"}, found.output
    for number in range(count):
        lines = found.leaks[f"test_server[{number}]"]
        assert len([line for line in lines if f"{size} bytes" in line and "this has been done" in line]) == 10
        names = [line for line in lines if f"{prefix}-{number}-" in line and "this has been done" in line]
        assert len(names) == 10, lines
    assert not [row for row in sysvipc_shm() or () if row.size == size]
    assert list(Path("/dev/shm").glob(f"{prefix}-*")) == []


def test_names_are_charged_to_the_test_whose_processes_have_used_them(audited, tmp_path):
    """A process that has closed or ended cannot be asked; audit events show what it has mapped, and who is killed."""
    prefix = f"mapped-{os.getpid()}-{tmp_path.name}"
    ready = tmp_path / "ready"
    create = f"""
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=100, name="{prefix}-NAME")
resource_tracker.unregister(memory._name, "shared_memory")
print("ready", flush=True)
"""
    waiting = [sys.executable, "-c", f"{create}\nimport signal; signal.pause()"]
    source = f"""
    import multiprocessing, os, signal, subprocess, sys
    from multiprocessing import resource_tracker, shared_memory
    from pathlib import Path
    from pytest_ipc import kernel

    def make(name):
        memory = shared_memory.SharedMemory(create=True, size=100, name="{prefix}-" + name)
        memory.close()
        resource_tracker.unregister(memory._name, "shared_memory")
        return memory

    def make_and_die():
        make("worker")
        os._exit(0)

    def test_closed(): make("closed")

    def test_unlinked():
        memory = make("unlinked")
        resource_tracker.register(memory._name, "shared_memory")
        memory.unlink()

    def test_worker():
        worker = multiprocessing.get_context("fork").Process(target=make_and_die)
        worker.start()
        worker.join()

    def killed(name, kill):
        argv = [word.replace("NAME", name) for word in {waiting!r}]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as server:
            server.stdout.readline()
            kill(server)

    def test_popen(): killed("popen", subprocess.Popen.kill)
    def test_group(): killed("group", lambda server: os.killpg(server.pid, signal.SIGTERM))

    def wait_for_strangers(name):
        Path({str(ready)!r} + name).touch()
        path = Path(f"/dev/shm/{prefix}-{{name}}")
        assert kernel.Deadline(60).until(lambda: path.exists() and path.stat().st_size)

    def test_attached():
        wait_for_strangers("attached")
        memory = shared_memory.SharedMemory("{prefix}-attached")
        memory.close()
        resource_tracker.unregister(memory._name, "shared_memory")

    def test_stranger():
        wait_for_strangers("stranger")
        os.kill(int(Path({str(ready)!r} + ".pid").read_text()), signal.SIGKILL)
    """
    code = f"""
import os
from pytest_ipc import kernel
open({str(ready) + ".pid"!r}, "w").write(str(os.getpid()))
for name in ("attached", "stranger"):
    assert kernel.Deadline(60).until(lambda: os.path.exists({str(ready)!r} + name))
    """
    code += create.replace("NAME", '" + name + "').replace("\n", "\n    ") + "\nimport signal; signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as stranger:
        found = audited(source, "--ipc-leaks=fix, environment=ignore")
        stranger.kill()
    for name in ("attached", "stranger"):
        Path(f"/dev/shm/{prefix}-{name}").unlink()
    assert set(found.outcomes.values()) == {"passed"}, found.output
    proofs = {test: [line.split("; ")[1] for line in lines if prefix in line] for test, lines in found.leaks.items()}
    killed = re.compile(r"used by process \d+ \(python.*\), started by the test, when it was killed")
    assert proofs.pop("test_closed") == ["mapped by this process"]
    assert proofs.pop("test_unlinked") == []
    assert "started by the test, which has ended" in proofs.pop("test_worker")[0]
    assert killed.fullmatch(proofs.pop("test_popen")[0])
    assert killed.fullmatch(proofs.pop("test_group")[0])
    guess = ["perhaps of this test: it appeared while the test ran"]
    assert proofs == {"test_attached": guess, "test_stranger": guess}
    assert list(Path("/dev/shm").glob(f"{prefix}-*")) == []


def test_reserved_names_are_removed_also_without_a_proof(audited, pytester):
    code = SERVER.replace('f"/{sys.argv[1]}-{number}"', "sys.argv[1 + number]").replace("SIZE", "100")
    (pytester.path / "server.py").write_text(code)
    source = """
    import os, signal, sys

    def test_server(ipc):
        names = [ipc.reserve_name() for _ in range(10)]
        server = ipc.spawn([sys.executable, "server.py", *names])
        server.wait_for_output("ready", timeout=60)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert all(os.path.exists(f"/dev/shm{name}") for name in names)
        print("NAMES", *names)
    """
    found = audited(source, "--ipc-leaks=fix", "-s")
    names = found.output.split("NAMES ")[1].split("\n")[0].split()
    assert len(names) == 10
    assert Deadline(30).until(lambda: not any(os.path.exists(f"/dev/shm{name}") for name in names))
    assert found.kinds("test_server") == {"sysv-shm"}

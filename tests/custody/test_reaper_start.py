"""The start of the reaper: whatever its owner has done to itself, before the first object exists, or an error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc.kernel import Deadline

from .owner import OWNER, Owner
from .test_sweep import exists

# What a test may set for itself before its first object; a Python needs more, or has to do something that is refused.
LOW = [
    "NOFILE, (16, 16)",
    "AS, (int(open('/proc/self/statm').read().split()[0]) * 4096 + (8 << 20), resource.RLIM_INFINITY)",
    "DATA, (int(open('/proc/self/statm').read().split()[5]) * 4096 + (4 << 20), resource.RLIM_INFINITY)",
    "STACK, (64 << 10, resource.RLIM_INFINITY)",
    "CPU, (int(__import__('time').process_time()) + 2, 100)",
]

# As fork(2) does for a process without privileges; root has no limit of processes.
NO_PROCESSES = """
from pytest_ipc.unpatched import os as calls
real, (soft, hard) = calls.fork, resource.getrlimit(resource.RLIMIT_NPROC)
def fork():
    if resource.getrlimit(resource.RLIMIT_NPROC)[0] < hard:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
calls.fork = fork
resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
"""


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        f"import resource\n{NO_PROCESSES}",
        *(f"import resource; resource.setrlimit(resource.RLIMIT_{limit})" for limit in LOW),
        "os.chdir('/proc/self/fdinfo')",
    ],
)
def test_it_starts_whatever_its_owner_has_done_to_itself(runtime, before):
    owner = Owner(before)
    owner.process.kill()
    owner.process.communicate()
    assert owner.is_cleared()
    assert os.listdir(runtime / "pytest-ipc") == []


NO_FORK = """
from pytest_ipc.unpatched import os
def fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = fork
"""

PROGRAM = """
import sys
from pytest_ipc.custody import start_reaper
start_reaper.PATIENCE = {patience}
with open({path!r}, "w") as file:
    file.write({script!r})
os.chmod({path!r}, 0o755)
sys.executable = {path!r}
"""

NO_IMPORT = """
from pytest_ipc.custody import start_reaper
real = start_reaper.os.path.abspath
def moved(path):
    return "/nowhere/a/b/start_reaper.py" if path.endswith("start_reaper.py") else real(path)
start_reaper.os.path.abspath = moved
"""


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("sys.executable = ''", "there is no Python interpreter to run the reaper, so no object is created"),
        (
            "sys.executable = '/no/python'",
            "there is no Python interpreter to run the reaper, so no object is created: '/no/python'",
        ),
        (NO_FORK, "no process can be forked for it: Resource temporarily unavailable"),
        (NO_IMPORT, "it exited with status 1 and wrote \"ModuleNotFoundError: No module named 'pytest_ipc'\""),
        (("#!/bin/sh\necho first; echo boom >&2; exit 3\n", 30), "it exited with status 3 and wrote 'boom'"),
        (("#!/bin/sh\nkill -9 $$\n", 30), "it was killed by signal 9"),
        (("#!/bin/sh\nexit 0\n", 30), "no object is created: it ended"),
        (("#!/bin/sh\nexec sleep 1000\n", 0.3), "it was not ready within 0.3 seconds"),
        (("#!/no/interpreter\n", 30), 'it exited with status 1 and wrote "FileNotFoundError'),
    ],
)
def test_failed_start_of_the_reaper_is_reported_before_creation(runtime, tmp_path, before, sentence):
    if isinstance(before, tuple):
        script, patience = before
        before = PROGRAM.format(path=str(tmp_path / "python"), script=script, patience=patience)
    before += "\nimport pytest_ipc.resources.segment as module; module.shmget = None"
    done = subprocess.run(
        [sys.executable, "-c", OWNER.format(before=before)], capture_output=True, text=True, timeout=60, check=False
    )
    assert sentence in done.stderr
    assert done.stdout == ""
    assert not (runtime / "pytest-ipc").exists() or os.listdir(runtime / "pytest-ipc") == []


WITHOUT_PRIVILEGE = """
import resource
from dataclasses import replace
from pytest_ipc.kernel.capability import capget, capset
from pytest_ipc import limits, scope
import pytest_ipc.resources.segment, pytest_ipc.custody.start_reaper
capset(replace(capget(), effective=capget().effective & ~(1 << 24), permitted=capget().permitted & ~(1 << 24)))
room = bytearray(1 << 20)
resource.setrlimit(resource.RLIMIT_AS, (8 << 20, 8 << 20))
del room
"""


@pytest.mark.usefixtures("runtime")
def test_a_limit_that_it_cannot_live_under_is_named():
    """Without CAP_SYS_RESOURCE a hard limit that the test has set cannot be raised again."""
    done = subprocess.run(
        [sys.executable, "-c", OWNER.format(before=WITHOUT_PRIVILEGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "the reaper cannot start, so no object is created: it exited with status" in done.stderr
    assert "(RLIMIT_AS is 8388608)" in done.stderr
    assert done.stdout == ""


WATCHES = """
from pathlib import Path
import pytest_ipc.resources.segment as module
real = module.shmget
def shmget(*arguments):
    me, found = os.getpid(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(bytes(1))
            if len(words) > 5 and b"custody.reaper" in words[4] and words[5] == str(me).encode():
                watched = [(entry / "fdinfo" / fd.name).read_text() for fd in (entry / "fd").iterdir()]
                found.append(any(f"Pid:\\t{me}\\n" in about for about in watched))
        except OSError:
            continue
    assert found == [True], found
    return real(*arguments)
module.shmget = shmget
"""


@pytest.mark.usefixtures("runtime")
def test_it_watches_before_the_first_object_exists():
    owner = Owner(WATCHES)
    owner.process.communicate()
    assert owner.process.returncode == 0
    assert owner.is_cleared()


SHADOWING = """
import sys
sys.path.append(sys.argv[1])
import os, signal
from pytest_ipc import scope
with scope() as ipc:
    print(ipc.sysv_shm().id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("runtime")
def test_modules_beside_the_package_do_not_shadow_the_stdlib(tmp_path):
    """As PyPI's pathlib, typing, enum34 and dataclasses do in a site-packages that comes first."""
    site = tmp_path / "site-packages"
    shutil.copytree(Path(pytest_ipc.__file__).parent, site / "pytest_ipc")
    for name in ("pathlib", "typing", "enum", "dataclasses", "contextlib", "re", "json", "signal"):
        (site / f"{name}.py").write_text("raise ImportError('it is not the stdlib that is imported')\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SHADOWING, str(site)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Deadline(30).until(lambda: not exists(int(done.stdout)))


HIGH = """
import resource
reader, writer = os.pipe()
os.dup2(writer, 500)
os.close(writer)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.mark.usefixtures("runtime")
def test_it_closes_descriptors_above_a_lowered_limit_too():
    source = OWNER.format(before=HIGH).replace(
        "sys.stdin.read()", "os.close(500); print(os.read(reader, 1), flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1] == "b''"

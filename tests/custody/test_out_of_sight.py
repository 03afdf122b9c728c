"""Objects that a tear-down cannot reach stay on record, are named, and are removed after the process ended.

The process has become another user, has gone to another IPC namespace, root directory or mount namespace, or has no
memory left. Each is tried in a program of its own that owns one object of every kind but a child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline
from pytest_ipc.kernel.namespace import CLONE_NEWIPC, CLONE_NEWNS, unshare
from pytest_ipc.processes.trial import trial

from .remains import IS_LEFT

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, os, resource, sys
from pytest_ipc.kernel import CLONE_NEWIPC, CLONE_NEWNS, MS_REC, MS_SLAVE, mount, unshare
from pytest_ipc.custody import ledger
from pytest_ipc.custody.scope import Scope
from pytest_ipc.api import Ipc
from tests.custody.interrupting import make_several


def changed_user():
    os.setresuid(65534, 65534, 65534)


def ipc_namespace():
    unshare(CLONE_NEWIPC)


def root():
    os.chroot(os.environ["TMPDIR"])


def mount_namespace():
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_SLAVE)
    mount("tmpfs", "/dev/shm", "tmpfs")


def descriptors():
    os.closerange(3, 4096)
    for number in range(3, 64):
        os.open("/dev/null", os.O_RDONLY)


def memory():
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    for size in 1 << 16, 4096, 512, 64, 8:
        try:
            while True:
                hog.append(bytes(size))
        except MemoryError:
            pass


hog = []
with Scope() as owner:
    make_several(Ipc(owner))  # # load all modules first: after the move they may not be found
owner = Scope()
notes = make_several(Ipc(owner))
failures = []
globals()[sys.argv[1]]()
try:
    owner.close()
except BaseException as error:
    failures = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
hog.clear()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
told = ["\\n".join([str(failure), *getattr(failure, "__notes__", [])]) for failure in failures]
kinds = sorted({lines[1].split()[2].decode() for lines in ledger.current()._open.values()})
print(json.dumps({"notes": notes, "told": told, "kinds": kinds}), flush=True)
sys.stdin.read()
"""

SYSV = {"sysv-shm", "sysv-sem", "sysv-msg"}
SHARED = {"posix-shm", "posix-sem"}
FILES = {"fifo", "mapped-file", "lock-file", "unix-socket", "reserved-path"}
RESERVED = {"reserved-name", "reserved-key"}


@dataclass(frozen=True)
class Change:
    """What changes in the process: what it needs, the kinds that cannot be removed then, and what a failure says."""

    needs: tuple[object, ...] = ()
    left: set[str] | None = field(default_factory=set)
    sentence: str = ""


CHANGES = {
    "changed_user": Change(left=SYSV | SHARED | FILES | RESERVED | {"posix-mq"}, sentence="not permitted|denied"),
    "ipc_namespace": Change((CLONE_NEWIPC,), SYSV | RESERVED | {"posix-mq"}, "was created in the IPC namespace ipc:"),
    "root": Change(left=SYSV | SHARED | RESERVED, sentence="was created in"),
    "mount_namespace": Change((CLONE_NEWNS,), SHARED | {"reserved-name"}, "was created in another /dev/shm"),
    "descriptors": Change(),
    "memory": Change(left=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_unremovable_object_stays_on_record(runtime, change):
    if os.geteuid() != 0:
        pytest.skip("needs root: to become another user, to change the root directory")
    for flag in CHANGES[change].needs:
        if (refusal := trial(lambda flag=flag: unshare(flag))) is not None:  # type: ignore[misc]  # a default
            pytest.skip(f"no namespace can be made here: {refusal}")
    folder = runtime.parent / "place"
    folder.mkdir(mode=0o711)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, change],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        left = {note["kind"] for note in found["notes"] if IS_LEFT[note["kind"]](note)}
        assert left <= set(found["kinds"]), "what lives is on record"
        if (expected := CHANGES[change].left) is not None:
            assert (left, set(found["kinds"])) == (expected, expected)
            sentences = CHANGES[change].sentence.split("|")
            assert len(found["told"]) == len(expected)
            assert all(any(sentence in told for sentence in sentences) for told in found["told"])
    assert process.returncode == 0
    assert Deadline(10).until(lambda: not any(IS_LEFT[note["kind"]](note) for note in found["notes"]))
    assert Deadline(10).until(lambda: os.listdir(runtime / "pytest-ipc") == [])

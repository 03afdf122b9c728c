"""A scope that ends while no descriptor is free, as the test has used up RLIMIT_NOFILE: its objects are removed."""

from __future__ import annotations

import pytest

# What is made by `make` is gone although no descriptor is free at the end; RLIMIT_NOFILE is as before.
PROGRAM = """
import errno, os, resource, signal, sys
import pytest_ipc
from pytest_ipc import Ipc
from pytest_ipc.custody import ledger

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
with pytest_ipc.scope() as ipc:
    ipc.pipe()
    scope = pytest_ipc.scope()
    inner = scope.__enter__()
    make = {
        "fifo": lambda: [inner.fifo() for _ in range(10)],
        "mapped file": lambda: inner.mapped_file(1),
        "file lock": lambda: inner.file_lock(),
        "shared memory": lambda: [inner.sysv_shm(1), inner.posix_shm(1), inner.posix_sem()],
        "child": lambda: inner.fork(signal.pause),
        "program": lambda: inner.spawn(["sleep", "1000"]),
        "a program with a child": lambda: inner.spawn(["sh", "-c", "sleep 1000 & sleep 1000"]),
    }[sys.argv[1]]
    made = make()
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    scope.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    assert len(ledger.current()._open) == 0, ledger.current()._open
"""


@pytest.mark.parametrize(
    "kind", ["fifo", "mapped file", "file lock", "shared memory", "child", "program", "a program with a child"]
)
def test_objects_are_removed(program, kind):
    program(PROGRAM, kind)

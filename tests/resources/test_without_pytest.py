"""Every resource is a context manager in a program that has never heard of pytest."""

from __future__ import annotations

from textwrap import dedent

import pytest

PROGRAMS = {
    "segment": """
        from pytest_ipc import Segment
        with Segment.create() as segment:
            segment.attach().buf[0] = 1
            assert segment.exists()
        assert not segment.exists()
    """,
    "pipe": """
        from pytest_ipc import Pipe
        with Pipe.create() as pipe:
            pipe.write(b"x")
            assert pipe.read() == b"x"
        assert pipe.reader.closed
    """,
    "fifo": """
        import os
        from pytest_ipc import Fifo
        with Fifo.create() as fifo:
            keeper = os.open(fifo.path, os.O_RDWR)
            fifo.open_writer().write(b"x")
            assert fifo.open_reader().read() == b"x"
            os.close(keeper)
        assert not fifo.path.parent.exists()
    """,
    "lock": """
        from pytest_ipc import FileLock
        with FileLock.create(kind="posix") as lock, lock.held(start=1, length=2):
            assert lock.test() is None
        assert not lock.path.parent.exists()
    """,
    "posix semaphore": """
        from pytest_ipc import PosixSemaphore
        with PosixSemaphore.create(1) as semaphore, PosixSemaphore.create(shared=True) as unnamed:
            semaphore.wait()
            unnamed.post()
            assert (semaphore.value, unnamed.value) == (0, 1)
    """,
    "posix queue": """
        from pytest_ipc import PosixQueue
        with PosixQueue.create(maxmsg=1, msgsize=8) as queue:
            queue.send(b"x", 3)
            assert queue.receive() == (b"x", 3)
    """,
    "signals": """
        import os, signal
        from pytest_ipc import Signals
        with Signals.create() as signals:
            caught = signals.catch(signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            caught.wait()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    """,
    "ipc namespace": """
        from pytest_ipc import IpcNamespace, NotAllowedHere
        from pytest_ipc.kernel import limit
        try:
            with IpcNamespace.create(shmmni=5) as namespace:
                assert namespace.fork(limit, "kernel/shmmni").result() == 5
        except NotAllowedHere:
            pass
    """,
    "child": """
        import os
        from pytest_ipc import Child
        with Child.start(os.getppid) as child:
            assert child.result() == os.getpid()
        with Child.start(print, ["from the child"]) as child:
            child.wait()
        with Child.start(os.read, [0, 1]) as child:
            child.wait()
    """,
    "scope": """
        import os
        from pytest_ipc import scope
        with scope() as ipc:
            segment, pipe, fifo = ipc.sysv_shm(), ipc.pipe(), ipc.fifo()
            ipc.signals.block(10)
            child = ipc.fork(pipe.read, timeout=None)
            child.wait_blocked("read")
            pipe.write(b"x")
            assert child.result() == b"x"
            blocked = ipc.fork(os.open, fifo.path, os.O_RDONLY)
            blocked.wait_blocked("open")
        assert not segment.exists() and not fifo.path.exists() and blocked.closed
    """,
    "kernel": """
        from pytest_ipc.kernel import Deadline, numbers_of, process_state, pidfd_open, shmctl_limits, errno_kept
        assert shmctl_limits().shmmin == 1
    """,
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_scope_works_without_pytest(program, what):
    done = program(
        dedent(PROGRAMS[what]) + "\nimport sys\nassert not {'pytest', '_pytest'} & set(sys.modules)\nprint('done')\n"
    )
    assert (done.stdout.splitlines()[-1], done.stderr) == ("done", "")


def test_a_childs_output_is_the_programs(program):
    done = program(dedent(PROGRAMS["child"]))
    assert done.stdout == "from the child\n"


def test_package_import_loads_nothing(program):
    program(
        "import sys, pytest_ipc\n"
        "loaded = {name for name in sys.modules if name.startswith('pytest_ipc.')} - {'pytest_ipc._version'}\n"
        "assert not loaded and 'ctypes' not in sys.modules and 'pytest' not in sys.modules, loaded\n"
    )


def test_an_unknown_name_is_an_attribute_error(program):
    done = program(
        "import pytest_ipc\ntry:\n    pytest_ipc.no_such_name\nexcept AttributeError as error:\n    print(error)\n"
    )
    assert done.stdout == "module 'pytest_ipc' has no attribute 'no_such_name'\n"

"""What a library keeps for the whole process is no leak of the test that uses the library first."""

from __future__ import annotations

import pytest

# By name: the modules that it needs, and the body of a test that makes the library keep something.
LIBRARIES = {
    "multiprocessing-value": ("", "import multiprocessing\nmultiprocessing.Value('i', 1)"),
    "multiprocessing-resource-tracker": (
        "",
        """
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=10)
memory.close()
memory.unlink()
""",
    ),
    "multiprocessing-forkserver": (
        "",
        """
import multiprocessing, tempfile
tempfile.tempdir = "/tmp"  # the path of a socket is short
process = multiprocessing.get_context("forkserver").Process(target=print)
process.start()
process.join()
process.close()
""",
    ),
    "multiprocessing-resource-sharer": (
        "",
        """
import os, socket, tempfile
from multiprocessing import resource_sharer
tempfile.tempdir = "/tmp"  # the path of a socket is short
one, other = socket.socketpair()
with one, other:
    os.close(resource_sharer.DupFd(one.fileno()).detach())
""",
    ),
    "multiprocessing-pool": (
        "",
        """
import multiprocessing
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1, 1]) == [1, 1]
""",
    ),
    "executor-of-a-module": (
        "",
        """
import concurrent.futures
global EXECUTOR
EXECUTOR = concurrent.futures.ThreadPoolExecutor()
EXECUTOR.submit(print).result()
""",
    ),
    "executor-of-a-class": (
        "",
        """
import concurrent.futures
planted.Pool.executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="of-a-class")
planted.Pool.executor.submit(print).result()
""",
    ),
    "executor-collected": (
        "",
        """
import concurrent.futures
executor = concurrent.futures.ThreadPoolExecutor()
executor.submit(print).result()
""",
    ),
    "executor-of-processes": (
        "",
        """
import concurrent.futures
with concurrent.futures.ProcessPoolExecutor(1) as executor:
    assert executor.submit(abs, -1).result() == 1
""",
    ),
    "asyncio-current-loop": (
        "",
        """
import asyncio
asyncio.set_event_loop(asyncio.new_event_loop())
""",
    ),
    "asyncio-to-thread": (
        "",
        """
import asyncio
asyncio.run(asyncio.to_thread(print))
""",
    ),
    "asyncio-to-thread-in-kept-loop": (
        "",
        """
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(asyncio.to_thread(print))
""",
    ),
    "asyncio-subprocess": (
        "",
        """
import asyncio
async def run():
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0
asyncio.run(run())
""",
    ),
    "trio-to-thread": ("trio", "import trio\ntrio.run(trio.to_thread.run_sync, print)"),
    "anyio-to-thread": ("anyio", "import anyio, anyio.to_thread\nanyio.run(anyio.to_thread.run_sync, print)"),
    "tqdm": ("tqdm", "import tqdm\nassert list(tqdm.tqdm(range(3), mininterval=0.01)) == [0, 1, 2]"),
    "numpy": ("numpy", "import numpy\nassert (numpy.ones((300, 300)) @ numpy.ones((300, 300))).shape == (300, 300)"),
    "loky": (
        "loky",
        """
import loky
assert loky.get_reusable_executor(max_workers=1).submit(abs, -1).result() == 1
""",
    ),
    "twisted": (
        "twisted",
        """
from twisted.internet import reactor
reactor.callLater(0, reactor.stop)
reactor.run(installSignalHandlers=False)
""",
    ),
    "gevent": ("gevent", "import gevent\ngevent.sleep(0.01)"),
    "gevent-before-its-loop-runs": ("gevent", "import gevent\ngevent.get_hub()"),
    "gevent-threads": (
        "gevent",
        """
import gevent, threading

def run():
    gevent.sleep(0.01)
    gevent.get_hub().threadpool.apply(print)

run()
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    ),
    "asgiref": ("asgiref", "import asyncio, asgiref.sync\nasyncio.run(asgiref.sync.sync_to_async(print)())"),
    "readline": ("", "import readline"),
    "iconv": ("", "import ctypes\nassert ctypes.CDLL(None).iconv_open(b'UTF-16', b'EBCDIC-US') != -1"),
    "mq_notify": (
        "posix_ipc",
        """
import posix_ipc, threading
end = threading.Event()
queue = posix_ipc.MessageQueue(None, posix_ipc.O_CREX)
queue.unlink()
queue.request_notification((lambda _: end.set(), None))
queue.send("message")
assert end.wait(60)
queue.close()
""",
    ),
    "logging": ("", "import logging\nlogging.basicConfig(force=True)\nlogging.getLogger('planted').error('message')"),
    "locale": ("", "import locale\nlocale.setlocale(locale.LC_ALL, locale.setlocale(locale.LC_ALL))"),
    "subprocess": ("", "import subprocess\nassert subprocess.run(['true']).returncode == 0"),
    "tempfile": ("", "import tempfile\ntempfile.TemporaryFile().close()"),
    "getaddrinfo": ("", "import socket\nsocket.getaddrinfo('localhost', 80)"),
    "sqlite": ("", "import sqlite3\nsqlite3.connect(':memory:').close()"),
    "ssl": ("", "import ssl\nssl.create_default_context()"),
    "syslog": ("", "import syslog\nsyslog.syslog('planted')"),
    "execnet": (
        "execnet",
        """
import execnet
group = execnet.Group()
assert group.makegateway("popen").remote_exec("channel.send(1)").receive() == 1
group.terminate(timeout=10)
""",
    ),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_a_library_keeps_for_the_process_is_no_leak(audited, name):
    module, body = LIBRARIES[name]
    if module:
        pytest.importorskip(module)
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    found = audited(f"import planted\n\ndef test_first():\n{lines}\n", "--ipc-leaks=error", "-s")
    assert found.outcomes == {"test_first": "passed"}, found.output
    assert found.kinds("test_first") == set()


# What looks like it and is a leak: the kind, and the body of a test.
LEAKS = {
    "executor-in-a-list": (
        "threads",
        """
import concurrent.futures
planted.KEPT.append(concurrent.futures.ThreadPoolExecutor())
planted.KEPT[-1].submit(print).result()
""",
    ),
    "job-in-an-executor-of-a-module": (
        "threads",
        """
import concurrent.futures, threading
global END, EXECUTOR
END, EXECUTOR = threading.Event(), concurrent.futures.ThreadPoolExecutor()
EXECUTOR.submit(END.wait)
""",
    ),
    "server-of-the-current-loop": (
        "descriptors",
        """
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
planted.KEPT.append(loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0)))
""",
    ),
    "loop-that-is-not-the-current-one": (
        "descriptors",
        """
import asyncio
planted.KEPT.append(asyncio.new_event_loop())
""",
    ),
    "nameless-file": (
        "descriptors",
        """
import multiprocessing, tempfile
multiprocessing.Value("i", 1)
planted.KEPT.append(tempfile.TemporaryFile())
""",
    ),
    "process-beside-a-resource-tracker": (
        "processes",
        """
import subprocess
from multiprocessing import resource_tracker
resource_tracker.ensure_running()
planted.KEPT.append(subprocess.Popen(["sleep", "1000"]))
""",
    ),
    "memory-beside-that-of-multiprocessing": (
        "mappings",
        """
import mmap, multiprocessing
multiprocessing.Value("i", 1)
planted.KEPT.append(mmap.mmap(-1, 4096))
""",
    ),
    "thread-with-the-name-of-a-pool": (
        "threads",
        """
import threading
threading.Thread(target=threading.Event().wait, name="ThreadPoolExecutor-0_0", daemon=True).start()
""",
    ),
    "thread-of-c-without-an-import": (
        "threads",
        """
import ctypes
thread, entry = ctypes.c_ulong(), ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p)
assert ctypes.CDLL(None).pthread_create(ctypes.byref(thread), None, entry, None) == 0
""",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_what_a_test_keeps_beside_a_library_is_a_leak(audited, name):
    kind, body = LEAKS[name]
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    source = f"""
import planted, ctypes, concurrent.futures

END = None

def test_leaks():
{lines}

def test_next():
    if END is not None:
        END.set()  # as the interpreter waits for the thread
"""
    found = audited(source, "--ipc-leaks=fix", "-s")
    assert found.kinds("test_leaks") == {kind}, found.output
    assert found.kinds("test_next") == set()


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("pytest_cov", ("--cov", "--cov-context=test")),
        ("pytest_timeout", ("--timeout=600", "--timeout-method=thread")),
        ("pytest_timeout", ("--timeout=600", "--timeout-method=signal")),
        ("pytest", ("-o", "faulthandler_timeout=600")),
        ("pytest", ("--log-file=log", "--log-cli-level=DEBUG")),
        ("pytest", ("--capture=sys",)),
        ("pytest", ("-p", "no:capture", "-p", "no:faulthandler")),
        ("xdist", ("-n", "1")),
    ],
)
def test_what_pytest_and_its_plugins_keep_is_no_leak(audited, module, options):
    pytest.importorskip(module)
    found = audited(
        "import logging\n" + "".join(f"def test_{n}(): logging.error('message')\n" for n in range(3)),
        "--ipc-leaks=error",
        *options,
    )
    assert found.outcomes == dict.fromkeys(("test_0", "test_1", "test_2"), "passed"), found.output
    assert not any(map(found.kinds, found.leaks))


def test_loop_of_the_session_is_no_leak(audited):
    pytest.importorskip("pytest_asyncio")
    source = """
    import asyncio, pytest

    pytestmark = pytest.mark.asyncio(loop_scope="session")

    async def test_first(): await asyncio.to_thread(print)
    async def test_second(): await asyncio.to_thread(print)
    """
    found = audited(source, "--ipc-leaks=error", "-o", "asyncio_mode=strict")
    assert found.outcomes == {"test_first": "passed", "test_second": "passed"}, found.output
    assert not any(map(found.kinds, found.leaks))


def test_runner_of_anyio_is_no_leak(audited):
    pytest.importorskip("anyio")
    source = """
    import anyio.to_thread, pytest

    pytestmark = pytest.mark.anyio

    @pytest.fixture(scope="module")
    def anyio_backend(): return "asyncio"

    @pytest.fixture(scope="module", autouse=True)
    async def kept(anyio_backend): yield

    async def test_first(): await anyio.to_thread.run_sync(print)
    async def test_second(): await anyio.to_thread.run_sync(print)
    """
    found = audited(source, "--ipc-leaks=error")
    assert found.outcomes == {"test_first": "passed", "test_second": "passed"}, found.output
    assert not any(map(found.kinds, found.leaks))


def test_what_a_failed_test_holds_is_no_leak(audited):
    source = """
    import concurrent.futures, multiprocessing

    def test_executor():
        executor = concurrent.futures.ThreadPoolExecutor()
        executor.submit(print).result()
        assert 0

    def test_lock_with_a_name():
        lock = multiprocessing.get_context("spawn").Lock()
        assert 0

    def test_next(): pass
    """
    found = audited(source, "--ipc-leaks=error")
    assert found.outcomes == {"test_executor": "failure", "test_lock_with_a_name": "failure", "test_next": "passed"}
    assert not any(map(found.kinds, found.leaks)), found.output

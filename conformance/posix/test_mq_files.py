"""mq_overview(7): message queues as files of the mqueue filesystem, mounted in a new IPC namespace."""

from __future__ import annotations

import os
import stat
from errno import ENOENT
from os import O_CREAT, O_EXCL, O_RDWR
from pathlib import Path
from signal import SIGUSR1

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SIGEV_NONE, SIGEV_SIGNAL, MqAttr, mq_getattr, mq_notify, mq_open, mq_send, mq_unlink

NEW = O_CREAT | O_EXCL | O_RDWR
ATTR = MqAttr(maxmsg=3, msgsize=100)


def fields(path: Path) -> dict[str, int]:
    """Return the fields of the one line in a queue's file."""
    (line,) = path.read_text().splitlines()
    return {name: int(value) for name, _, value in (field.partition(":") for field in line.split())}


@clause("mq.fs-mount-file-content", "mq_overview(7)", "Mounting the message queue filesystem", since="4.2")
def test_qsize_counts_the_bytes(in_queue_folder):
    """QSIZE in the file of a queue is the number of bytes in all its messages, without the kernel's overhead."""

    def child(folder: Path) -> list[int]:
        queue = mq_open("/it", NEW, 0o600, ATTR)
        sizes = [fields(folder / "it")["QSIZE"]]
        for length in (5, 0, 100):
            mq_send(queue, b"x" * length)
            sizes.append(fields(folder / "it")["QSIZE"])
        return sizes

    assert in_queue_folder(child) == [0, 5, 5, 105]


@clause("mq.fs-notify-fields", "mq_overview(7)", "Mounting the message queue filesystem")
def test_file_shows_the_registration(in_queue_folder):
    """NOTIFY_PID in the file is the registered process or 0, NOTIFY is
    0 for a signal and 1 for none, and SIGNO is the signal.
    """

    def child(folder: Path) -> list[tuple[int, int, bool]]:
        queue = mq_open("/it", NEW, 0o600, ATTR)
        me, seen = os.getpid(), []
        for registration in ((None,), (SIGEV_SIGNAL, SIGUSR1), (None,), (SIGEV_NONE,), (None,)):
            mq_notify(queue, *registration)
            found = fields(folder / "it")
            seen.append((found["NOTIFY"], found["SIGNO"], found["NOTIFY_PID"] == me))
        return seen

    found = in_queue_folder(child)
    assert found[1] == (0, SIGUSR1, True)
    assert (found[3][0], found[3][2]) == (1, True)
    assert [registered for _, _, registered in found] == [False, True, False, True, False]


@clause("mq.fs-sticky-dir", "mq_overview(7)", "Mounting the message queue filesystem")
def test_directory_is_sticky(in_queue_folder):
    """The mqueue filesystem has the sticky bit set on its root directory."""
    assert in_queue_folder(lambda folder: bool(folder.stat().st_mode & stat.S_ISVTX))


@clause("mq.fs-open-unlink-as-file", "mq_overview(7)", "Mounting the message queue filesystem")
def test_queues_are_listed_and_removed_as_files(in_queue_folder):
    """Queues are listed by name in the mqueue filesystem, have the
    owner and mode of files, and can be unlinked as files.
    """

    def child(folder: Path) -> None:
        os.umask(0o077)
        assert os.listdir(folder) == []
        fds = [mq_open(f"/{name}", NEW, 0o600, ATTR) for name in ("one", "two")]
        assert sorted(os.listdir(folder)) == ["one", "two"]
        assert os.path.samestat((folder / "one").stat(), os.fstat(fds[0]))
        assert stat.S_IMODE((folder / "one").stat().st_mode) == 0o600
        (folder / "one").unlink()
        with fails_with(ENOENT):
            mq_open("/one", O_RDWR)
        mq_unlink("/two")
        assert os.listdir(folder) == []

    in_queue_folder(child)


@clause("mq.fs-create-as-file", "mq_overview(7)", "Mounting the message queue filesystem")
def test_created_file_is_a_queue(in_queue_folder):
    """A file created in the mqueue filesystem is a queue with the default attributes."""

    def child(folder: Path) -> tuple[int, int]:
        (folder / "made").touch(0o600)
        attr = mq_getattr(mq_open("/made", O_RDWR))
        return attr.maxmsg, attr.msgsize

    assert in_queue_folder(child) == (10, 8192)

"""The files of a workload: in one directory that is on record, gone with it, and with a campaign that is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from conformance.concurrency.files import BYTES, OnFile
from pytest_ipc import scope
from pytest_ipc.kernel import Deadline


class Files(OnFile):
    pass


def test_each_history_has_a_file_of_its_own_and_none_remains(ipc):
    workload = Files()
    first, second = Path(workload.make(ipc)), Path(workload.make(ipc))
    assert first != second
    assert first.read_bytes() == bytes(BYTES)
    workload.unmake(str(first))
    workload.finish()
    assert not second.parent.exists()


def test_killed_campaign_leaks_no_file(fork, tmp_path):
    def campaign() -> None:
        with scope() as ipc:
            (tmp_path / "path").write_text(Files().make(ipc))
            signal.pause()

    child = fork(campaign)
    child.wait_blocked("pause")
    folder = Path((tmp_path / "path").read_text()).parent
    assert folder.is_dir()
    os.kill(child.pid, signal.SIGKILL)
    child.close()
    assert Deadline(30).until(lambda: not folder.exists())

"""A name is found also where times have whole seconds, as in the file system of message queues."""

from __future__ import annotations

import os
import time

import pytest

from pytest_ipc.audit.detectors.posix_names import PosixNames
from pytest_ipc.audit.detectors.special_files import SpecialFiles


@pytest.fixture
def names(tmp_path):
    detector = PosixNames("posix-shm")
    detector._folder = str(tmp_path)
    return detector


@pytest.fixture
def files(tmp_path):
    detector = SpecialFiles()
    detector._folders = {str(tmp_path)}
    return detector


@pytest.mark.parametrize("kind", ["names", "files"])
@pytest.mark.parametrize("second", [0, -1])
def test_name_is_found_if_it_was_added_in_the_second_of_the_last_change(request, tmp_path, kind, second):
    detector = request.getfixturevalue(kind)
    changed = int(time.time()) + second
    os.utime(tmp_path, (changed, changed))
    before = detector.snapshot()
    os.mkfifo(tmp_path / "added")
    os.utime(tmp_path, (changed, changed))
    assert len(detector.snapshot().keys() - before.keys()) == 1


@pytest.mark.parametrize("kind", ["names", "files"])
@pytest.mark.parametrize("changed", [1_000_000_000, 1_000_000_000.5])
def test_directory_that_did_not_change_is_not_listed_again(request, tmp_path, kind, changed):
    detector = request.getfixturevalue(kind)
    os.utime(tmp_path, (changed, changed))
    assert detector.snapshot() == detector.snapshot() == {}
    (tmp_path / "unseen").touch()
    os.utime(tmp_path, (changed, changed))
    assert detector.snapshot() == {}

"""The folder for temporary files: the one that tempfile finds, but nothing is written there to find it."""

from __future__ import annotations

import os
import tempfile

import pytest

from pytest_ipc.custody.folders import temp_folder


@pytest.mark.parametrize("value", ["here", "no such folder", "a file", "", None])
@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_it_is_tempfiles_own_choice(tmp_path, monkeypatch, variable, value):
    (tmp_path / "here").mkdir()
    (tmp_path / "a file").touch()
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value and str(tmp_path / value))
    found = temp_folder()
    assert found == tempfile.gettempdir()
    assert (found == str(tmp_path / "here")) is (value == "here")
    monkeypatch.setenv(variable, str(tmp_path))
    assert temp_folder() == found, "a choice that tempfile has made stands"


def test_it_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.stat(tmp_path).st_mtime_ns
    assert temp_folder() == str(tmp_path)
    assert os.stat(tmp_path).st_mtime_ns == before
    assert tempfile.gettempdir() == str(tmp_path)
    assert os.stat(tmp_path).st_mtime_ns > before, "tempfile does, which is why it is not asked"

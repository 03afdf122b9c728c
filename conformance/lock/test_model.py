"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("fcntl.setlk-model", "fcntl_locking(2)", "Advisory record locking")
def test_the_model_of_record_locks(agree, machines, two_peers, file_lock):
    """Locks of ranges split, merge, convert and conflict between processes as a model in plain Python says."""
    path = str(file_lock().path)
    agree(lambda: machines.Ranges(path, *two_peers))


@clause("ofd.model", "fcntl_locking(2)", "Open file description locks (non-POSIX)")
def test_the_model_of_description_locks(agree, machines, two_peers, file_lock):
    """Locks of open file descriptions do the same, between descriptions of one process too."""
    path = str(file_lock().path)
    agree(lambda: machines.DescriptionRanges(path, *two_peers))


@clause("flock.model", "flock(2)", "DESCRIPTION")
def test_the_model_of_whole_files(agree, machines, two_peers, file_lock):
    """Locks of whole files are taken, converted and lost as a model in plain Python says."""
    path = str(file_lock().path)
    agree(lambda: machines.WholeFile(path, *two_peers))

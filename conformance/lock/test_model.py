"""Clauses that compare the state machines of model.py with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("fcntl.setlk-model", "fcntl_locking(2)", "Advisory record locking")
def test_the_model_of_record_locks(agree, machines, two_workers, file_lock):
    """fcntl() record locks of two processes agree with a model in Python for random sequences of calls."""
    path = str(file_lock().path)
    agree(lambda: machines.Ranges(path, *two_workers))


@clause("ofd.model", "fcntl_locking(2)", "Open file description locks (non-POSIX)")
def test_the_model_of_description_locks(agree, machines, two_workers, file_lock):
    """fcntl() open file description locks agree with a model in Python for random sequences of calls."""
    path = str(file_lock().path)
    agree(lambda: machines.DescriptionRanges(path, *two_workers))


@clause("flock.model", "flock(2)", "DESCRIPTION")
def test_the_model_of_whole_files(agree, machines, two_workers, file_lock):
    """flock() locks agree with a model in Python for random sequences of calls."""
    path = str(file_lock().path)
    agree(lambda: machines.WholeFile(path, *two_workers))

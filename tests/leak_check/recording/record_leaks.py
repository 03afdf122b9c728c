"""A pytest plugin for the runs of other projects: the leaks of each test, as JSON in the file that $LEAKS names."""

import json
import os

_leaks: dict[str, list[str]] = {}
_file = os.environ["LEAKS"]
_pid = os.getpid()


def pytest_runtest_logreport(report):
    if report.when == "teardown":
        lines = [value for name, value in report.user_properties if name == "ipc_leak"]
        if lines:
            _leaks.setdefault(report.nodeid, []).extend(lines)


def pytest_unconfigure():
    if os.getpid() == _pid:
        with open(_file, "w") as file:
            json.dump(_leaks, file)

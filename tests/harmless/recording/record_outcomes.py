"""A pytest plugin for the runs of other projects: what came of each test, as JSON in the file that $OUTCOMES names."""

import json
import os

_outcomes: dict[str, list[str]] = {}
_file = os.environ["OUTCOMES"]
_pid = os.getpid()


def pytest_collectreport(report):
    if report.failed:
        _outcomes.setdefault(report.nodeid, []).append("cannot be collected")


def pytest_runtest_logreport(report):
    outcome = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
    _outcomes.setdefault(report.nodeid, []).append(f"{report.when} {outcome}")


def pytest_unconfigure():
    if os.getpid() == _pid:
        with open(_file, "w") as file:
            json.dump(_outcomes, file)

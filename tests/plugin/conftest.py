"""A file of tests that fork, run in a pytest of its own: what came of it, and what was run how often."""

from __future__ import annotations

from collections import Counter

import pytest

ADVICE = "*A child of os.fork() returned into pytest's own code and was stopped there.*`fork` fixture*"

# What ran is written down with one append a line: a line that is there twice was run twice.
LOG = """
import os
import sys
import time
import unittest

import pytest


def log(what):
    fd = os.open(os.environ["IPC_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{what}\\n".encode())
    os.close(fd)


def wait(pid):
    log(f"child left with {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


@pytest.fixture(scope="session", autouse=True)
def session():
    yield
    log("session torn down")


@pytest.fixture
def resource(request):
    yield
    log(f"{request.node.name} torn down")


def test_before():
    log("before")
"""
AFTER = """

def test_after(resource):
    log("after")
"""


@pytest.fixture
def run(pytester, monkeypatch, tmp_path):
    """Run a file of tests in a pytest of its own: the result, and how often each line was logged."""
    log = tmp_path / "log"
    monkeypatch.setenv("IPC_LOG", str(log))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def run(source, *arguments):
        log.unlink(missing_ok=True)
        pytester.makepyfile(LOG + source + AFTER)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
        return result, Counter(log.read_text().splitlines())

    return run

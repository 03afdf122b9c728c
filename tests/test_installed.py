"""The contents of an installation: the package, the suite, and the plugin found by pytest."""

from __future__ import annotations

import json
from importlib.metadata import distribution

import pytest


@pytest.fixture(scope="module")
def installed():
    """Return the installed distribution; an editable one has no files of its own."""
    found = distribution("pytest-ipc")
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation: its files are the checkout's")
    return found


def test_only_the_package_and_the_suite_are_at_the_top(installed):
    tops = {file.parts[0] for file in installed.files} - {"..", "__pycache__"}
    assert tops == {"pytest_ipc", "pytest_ipc_conformance", f"pytest_ipc-{installed.version}.dist-info"}


def test_the_suite_and_the_data_files_are_installed(installed):
    inside = {str(file) for file in installed.files}
    assert {
        "pytest_ipc_conformance/conftest.py",
        "pytest_ipc_conformance/shm/test_shmget.py",
        "pytest_ipc/py.typed",
        "pytest_ipc/verdict/reports/report.schema.json",
        "pytest_ipc/verdict/reports/template/page.html",
        "pytest_ipc/verdict/reports/template/page.css",
        "pytest_ipc/verdict/reports/template/page.js",
    } <= inside


def test_the_plugin_needs_pytest_alone():
    needed = [line for line in distribution("pytest-ipc").requires or () if "extra ==" not in line]
    assert needed == ["pytest>=8.4"]


def test_the_entry_points():
    points = {(point.group, point.name): point.value for point in distribution("pytest-ipc").entry_points}
    assert points == {
        ("pytest11", "ipc"): "pytest_ipc.plugin.hooks",
        ("console_scripts", "pytest-ipc"): "pytest_ipc.cli:main",
    }

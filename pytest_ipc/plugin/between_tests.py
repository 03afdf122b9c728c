"""Whether code of other plugins runs between the end of a test and the setup of the next."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

__all__ = ["NothingBetween"]

# All hooks that pytest calls between two tests, and those whose wrappers may enclose ours.
_BETWEEN = (
    "pytest_runtest_protocol",
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_runtest_makereport",
    "pytest_report_teststatus",
)
_AROUND = ("pytest_runtest_setup", "pytest_runtest_teardown")
# xdist only sends the reports.
_KNOWN = ("_pytest.", "pytest_ipc.", "xdist.")


class NothingBetween:
    """Whether only pytest itself runs there."""

    def __init__(self, config: pytest.Config) -> None:
        self._hooks = [getattr(config.hook, name) for name in (*_BETWEEN, *_AROUND)]
        self._timer = float(config.getini("faulthandler_timeout") or 0) if _has(config, "faulthandler") else 0.0
        self._found: tuple[list[int], bool] | None = None

    def is_true(self) -> bool:
        """Return whether nothing else runs. Plugins may come and go with each test."""
        numbers = [len(hook.get_hookimpls()) for hook in self._hooks]
        if self._found is None or self._found[0] != numbers:
            self._found = numbers, not self._timer and all(map(_is_known, self._hooks))
        return self._found[1]


def _has(config: pytest.Config, plugin: str) -> bool:
    return bool(config.pluginmanager.has_plugin(plugin))


def _is_known(hook: Any) -> bool:
    for found in hook.get_hookimpls():
        plugin = found.plugin
        module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
        if hook.name in _AROUND and not (found.wrapper or found.hookwrapper):
            continue
        if not f"{module}.".startswith(_KNOWN):
            return False
    return True

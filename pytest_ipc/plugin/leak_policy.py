"""The policy for leaks: ignore, warn, error or fix, for all kinds or for some; from ini file, option and markers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

__all__ = ["ACTIONS", "Policy", "of_marker", "of_text"]

ACTIONS = ("ignore", "warn", "error", "fix")


@dataclass(frozen=True)
class Policy:
    """The action for leaks, the actions for single kinds, and how many leaks of a kind are allowed."""

    action: str
    kinds: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> str:
        """Return the action for one kind."""
        return self.kinds.get(kind, self.action)

    def refined(self, by: Policy) -> Policy:
        """Return the policy that *by*, which is closer to the test, makes of this one."""
        if by.action:
            return Policy(by.action, by.kinds, {**self.allowed, **by.allowed})
        return Policy(self.action, {**self.kinds, **by.kinds}, {**self.allowed, **by.allowed})


def of_text(text: str, kinds: Mapping[str, bool], where: str) -> Policy:
    """Return the policy of a text like "error, threads=ignore, descriptors=warn". UsageError, which names *where*.

    *kinds* says of each kind whether its leaks can be fixed.
    """
    action, single = "", dict[str, str]()
    for word in text.replace(",", " ").split():
        kind, equals, value = word.rpartition("=")
        if value not in ACTIONS:
            raise pytest.UsageError(f"{where} must be one of {', '.join(ACTIONS)}, or KIND=ACTION, not {word!r}")
        if (before := single.get(kind) if equals else action) and before != value:
            raise pytest.UsageError(
                f"{where} must have one action for {kind or 'all kinds'}, not both {before!r} and {value!r}"
                f"{'' if equals else '; KIND=ACTION is for single kinds'}"
            )
        if not equals:
            action = value
        elif kind in kinds:
            _check_fixable(kind, value, kinds, where)
            single[kind] = value
        else:
            raise pytest.UsageError(
                f"{where}: {kind!r} is not a kind of leak; the kinds are {', '.join(sorted(kinds))}"
            )
    return Policy(action, single)


def _check_fixable(kind: str, action: str, kinds: Mapping[str, bool], where: str) -> None:
    if action == "fix" and not kinds[kind]:
        fixed = ", ".join(sorted(name for name, fixable in kinds.items() if fixable))
        raise pytest.UsageError(f"{where}: {kind!r} cannot be fixed, only reported; the kinds that can are {fixed}")


def of_marker(mark: pytest.Mark, kinds: Mapping[str, bool], where: str) -> Policy:
    """Return the policy of a marker: ipc_leaks("error", threads="ignore", descriptors=2). UsageError."""
    single: dict[str, str] = {}
    allowed: dict[str, int] = {}
    if len(mark.args) > 1 or any(arg not in ACTIONS for arg in mark.args):
        raise pytest.UsageError(f"{where}: the marker ipc_leaks takes one of {', '.join(ACTIONS)}, not {mark.args!r}")
    for name, value in mark.kwargs.items():
        kind = name.replace("_", "-")
        if kind not in kinds:
            raise pytest.UsageError(
                f"{where}: {name!r} is not a kind of leak; the kinds are {', '.join(sorted(kinds)).replace('-', '_')}"
            )
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            allowed[kind] = value
        elif value in ACTIONS:
            _check_fixable(kind, str(value), kinds, where)
            single[kind] = str(value)
        else:
            raise pytest.UsageError(
                f"{where}: ipc_leaks({name}=…) must be one of {', '.join(ACTIONS)}, or a number of allowed leaks, "
                f"not {_shown(value)}"
            )
    return Policy(str(mark.args[0]) if mark.args else "", single, allowed)


def _shown(value: Any) -> str:
    return repr(value)[:60]

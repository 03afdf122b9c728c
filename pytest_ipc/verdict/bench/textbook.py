"""The sentence of the textbooks, "shared memory is the fastest", against the figures: where it holds.

Two forms of it are judged. With processes that sleep while they wait, shared memory needs a call to wake the other one
up, as every mechanism does. With processes that poll it needs none, and they use both CPUs all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import units
from .figures import Figure, Quantity
from .mechanisms import MECHANISMS

__all__ = ["FORMS", "SENTENCE", "Judgement", "judge", "sentences"]

SENTENCE = "Shared memory is the fastest"

FORMS: dict[str, tuple[str, ...]] = {"sleeping": ("shm-futex", "shm-in-place"), "polling": ("shm-polled",)}

_TITLES = {mechanism.id: mechanism.title for mechanism in MECHANISMS}
_SHARED = {mechanism.id for mechanism in MECHANISMS if mechanism.is_shared_memory}
_ONLY_NOTIFY = {"eventfd", "signal"}  # they transfer no data

_QUANTITIES: dict[Quantity, str] = {"latency": "round trip", "bandwidth": "bandwidth"}


@dataclass(frozen=True)
class Judgement:
    """The sentence for one quantity, size and form. `verdict` is holds, fails or undecided.

    `reason` has the best figure of shared memory and the best of the others.
    """

    quantity: Quantity
    form: str
    size: int
    verdict: str
    reason: str


def judge(figures: Iterable[Figure]) -> list[Judgement]:
    """Return the judgements for every size with a figure of shared memory and one of another mechanism."""
    table: dict[tuple[Quantity, int], dict[str, Figure]] = {}
    for figure in figures:
        if figure.quantity in _QUANTITIES and figure.mechanism not in _ONLY_NOTIFY:
            table.setdefault((figure.quantity, figure.size), {})[figure.mechanism] = figure
    found = []
    for quantity in _QUANTITIES:
        for form, those in FORMS.items():
            for size in sorted({size for of, size in table if of == quantity}):
                measured = table[quantity, size]
                shared = [measured[id] for id in those if id in measured]
                others = [figure for id, figure in measured.items() if id not in _SHARED]
                if shared and others:
                    found.append(_judgement(form, _best(shared), others))
    return found


def _best(figures: Sequence[Figure]) -> Figure:
    """Return the best figure that is not noise, or the best of all if each is."""
    candidates = [figure for figure in figures if not figure.is_noise] or figures
    best = max if candidates[0].quantity == "bandwidth" else min
    return best(candidates, key=lambda figure: figure.median)


def _judgement(form: str, shared: Figure, others: Sequence[Figure]) -> Judgement:
    """Return whether *shared* is better than each of *others*; undecided if one may be better."""
    rival = _best(others)
    better = shared.is_better_than(rival)
    unsure = next((other for other in others if other.is_noise and other.may_be_better_than(shared)), None)
    if better and unsure is not None:
        rival, better = unsure, None
    ours, theirs = (f"{_TITLES[found.mechanism]} {units.as_text(found)}" for found in (shared, rival))
    reason = f"{ours}, {theirs}"
    if better is None:
        if shared.is_noise or rival.is_noise:
            reason += "; at least one figure is noise"
        else:
            reason += "; the difference is within the spread, or within Python's own time"
    verdict = "undecided" if better is None else "holds" if better else "fails"
    return Judgement(shared.quantity, form, shared.size, verdict, reason)


def sentences(judgements: Iterable[Judgement]) -> list[str]:
    """Return a sentence for each quantity and form: the sizes for which it holds, does not hold, or is undecided."""
    groups: dict[tuple[Quantity, str], dict[str, list[Judgement]]] = {}
    for judgement in judgements:
        group = groups.setdefault((judgement.quantity, judgement.form), {})
        group.setdefault(judgement.verdict, []).append(judgement)
    lines = []
    for (quantity, form), verdicts in groups.items():
        parts = []
        for verdict, words in (("holds", "holds for"), ("fails", "does not hold for"), ("undecided", "undecided for")):
            if those := verdicts.get(verdict):
                reasons = f" ({those[0].reason})" if len(those) == 1 else f" (at {_example(those)})"
                parts.append(f"{words} {', '.join(units.size(judgement.size) for judgement in those)}{reasons}")
        lines.append(f"{_QUANTITIES[quantity]}, {form}: {'; '.join(parts)}")
    return lines


def _example(judgements: list[Judgement]) -> str:
    return f"{units.size(judgements[-1].size)}: {judgements[-1].reason}"

"""The search of a clause for an invalid history: a campaign in a separate process, within the budget of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time_ns

from hypothesis import settings
from hypothesis.database import ExampleDatabase

from pytest_ipc import Fork

from .campaign import Campaign, Finding, Summary
from .linearizability import BOUND, Bound
from .plan import Plan
from .workload import Budget, Workload

__all__ = ["THOROUGH", "look"]

# For as long as the user waits: an hour for each clause, with new plans on every run.
THOROUGH = Budget(histories=10_000_000, seconds=3600, shrinking=60, attempts=400)
_OVERHEAD = 40.0  # seconds that a campaign may take beyond its budget on a loaded machine


def look(
    fork: Fork,
    workload: Workload,
    *,
    thorough: bool = False,
    budget: Budget | None = None,
    bound: Bound = BOUND,
    database: ExampleDatabase | None = None,
) -> Summary:
    """Search for a history that fits no order of its calls; raise a Deviation with the shortest one found.

    A thorough search replays the plans in Hypothesis' example database first, and saves its findings there, so that
    every worker of a distributed run tries them. By default the database is that of Hypothesis' current profile.
    """
    limits = budget or (THOROUGH if thorough else workload.budget)
    if thorough and database is None:
        database = settings().database
    seed = time_ns() if thorough else 0
    key = f"pytest-ipc {workload.name}".encode()
    # In a child: the campaign forks workers and changes its CPU affinity.
    child = fork(_campaign, workload, limits, bound, seed, database, key)
    timeout = limits.seconds + limits.shrinking + _OVERHEAD
    found: Finding | Summary = child.result(timeout=None if thorough else timeout)
    if isinstance(found, Finding):
        raise found.deviation()
    return found


def _campaign(
    workload: Workload, budget: Budget, bound: Bound, seed: int, database: ExampleDatabase | None, key: bytes
) -> Finding | Summary:
    return Campaign(workload, budget, seed, bound).run(*_memory(database, key))


def _memory(
    database: ExampleDatabase | None, key: bytes
) -> tuple[Callable[[], Iterable[Plan]], Callable[[Plan], None]]:
    """Return functions that load plans from the database and save one to it."""

    def known() -> Iterable[Plan]:
        for data in database.fetch(key) if database is not None else ():
            try:
                yield Plan.decoded(data)
            except ValueError:  # of another version
                continue

    def keep(plan: Plan) -> None:
        if database is not None:
            database.save(key, plan.encoded())

    return known, keep

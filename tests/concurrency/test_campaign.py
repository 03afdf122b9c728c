"""A campaign finds planted races, makes them short, and finds none where there is none."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from errno import EAGAIN
from random import Random

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from conformance.concurrency.campaign import Campaign, Finding, Summary, draw
from conformance.concurrency.linearizability import Bound
from conformance.concurrency.looking import look
from conformance.concurrency.plan import SIGKILL, Act, Plan
from conformance.concurrency.workload import Budget
from conformance.conftest import linearizable as linearizable
from pytest_ipc import Deviation
from pytest_ipc.kernel.rlimits import RLIMIT_SIGPENDING

from .workloads import Counter, Sleepy, Tokens, Unlocked, acts


@pytest.mark.parametrize("workload", [Counter(), Tokens()], ids=["counter", "tokens"])
def test_no_race_is_reported_without_one(fork, workload):
    found = look(fork, workload)
    assert isinstance(found, Summary)
    assert found.histories == workload.budget.histories
    assert found.undecided == 0
    assert found.overlapping > 0


def test_a_race_is_found_and_made_short(fork):
    finding = fork(lambda: Campaign(Unlocked(), Unlocked.budget).run()).result(timeout=60)
    assert isinstance(finding, Finding)
    assert len(finding.history.operations) < 9  # as many as were drawn
    assert finding.explanation.expected.startswith(("add() in ", "get() in "))
    assert "which fits no order of the calls" in finding.explanation.observed
    assert finding.svg().startswith("<svg")


def test_a_lost_wake_up_is_found(fork):
    with pytest.raises(Deviation, match="it slept in the call when all others had returned or slept") as caught:
        look(fork, Sleepy())
    assert any(line.startswith("*") for line in caught.value.evidence)


def test_a_deviation_shows_the_timeline(fork):
    with pytest.raises(Deviation, match=r"expected (add|get)\(\) in \w+ to give \d") as caught:
        look(fork, Unlocked())
    assert sum(bool(re.match(r"[A-Z]\d?  ", line)) for line in caught.value.evidence) >= 2


class Full(Counter):
    """Adds fail as sigqueue(3) does when RLIMIT_SIGPENDING signals are queued."""

    def add(self, fd: int) -> int:
        raise OSError(EAGAIN, "sigqueue: Resource temporarily unavailable")


@pytest.mark.parametrize("limit", [0, None])
def test_a_call_that_fails_for_a_documented_limit_makes_it_untested(fork, limit):
    def life() -> None:
        if limit is not None:
            resource.setrlimit(RLIMIT_SIGPENDING, (limit, limit))
        Campaign(Full(), Full.budget).run()

    if limit is None:
        with pytest.raises(Deviation, match="it failed with EAGAIN"):
            look(fork, Full())
    else:
        with pytest.raises(pytest.skip.Exception, match="a documented limit is in the way: RLIMIT_SIGPENDING is 0"):
            fork(life).result(timeout=60)


def test_failure_of_one_search_is_replayed_by_another(fork, tmp_path):
    database = DirectoryBasedExampleDatabase(tmp_path)
    budget = Budget(histories=500, seconds=30, shrinking=1)
    with pytest.raises(Deviation):
        look(fork, Unlocked(), thorough=True, budget=budget, database=database)
    key = f"pytest-ipc {Unlocked().name}".encode()
    plans = [Plan.decoded(data) for data in database.fetch(key)]
    assert plans

    class Lazy(Unlocked):  # would draw nothing that finds anything
        name = Unlocked().name

        def programs(self, random, workers):
            return acts("get") * workers

    with pytest.raises(Deviation):
        look(fork, Lazy(), thorough=True, budget=Budget(histories=1, shrinking=1, attempts=300), database=database)


def test_database_of_another_version_is_ignored(fork, tmp_path):
    database = DirectoryBasedExampleDatabase(tmp_path)
    database.save(f"pytest-ipc {Counter().name}".encode(), b"{'programs': [[{'verb': 1}]]}")
    look(fork, Counter(), thorough=True, budget=Budget(histories=3), database=database)


def test_the_example_database_is_hypothesis_own():
    """It has none in CI."""
    source = "import hypothesis; print(type(hypothesis.settings().database))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{type(settings().database)}\n"


def test_undecidable_histories_yield_no_verdict(linearizable):
    with pytest.raises(pytest.skip.Exception, match="needs a machine that decides more than 0 histories in time"):
        linearizable(Counter(), bound=Bound(configurations=1))


def test_plans_are_the_same_for_the_same_seed_and_can_be_written_down():
    for seed in range(50):
        plan, again = (draw(Tokens(), Random(seed), (1, 1, 1)) for _ in range(2))
        assert plan == again == Plan.decoded(plan.encoded())
    with pytest.raises(ValueError, match="not a plan"):
        Plan.decoded(b"nonsense")


def test_smaller_plans_are_smaller_and_whole():
    program = (Act("put"), Act("take", (), "signal", 2), Act(SIGKILL, (), "", 1))
    plan = Plan((2, 1), (program, acts("put take")[0], acts("put")[0]))
    for smaller in plan.smaller():
        assert smaller.layout == plan.layout
        assert smaller.length < plan.length or not any(act.provoke for each in smaller.programs for act in each)
    assert any(not all(smaller.programs) for smaller in plan.smaller())

"""What the models are written with: a mechanism and a few lines of Python that say how it behaves, taken through the same steps.

A model is a Hypothesis state machine. Every step is a call that is made to the kernel first and to the model next; both give a
value or fail with an errno, and these must be the same. Hypothesis looks for steps on which they differ and makes them as few
and as simple as it can. What is told then is the history as calls, which needs no knowledge of Hypothesis:

    expected msgrcv(type=-1) to give (1, b'a'), it failed with ENOMSG, after msgsnd(type=1, b'a')
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, NoReturn, TypeVar, cast

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from pytest_ipc import Deviation, Ipc, scope, untested
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way
from pytest_ipc.verdict.judge.time_limit import TimeUp, TooSlow, time_limit_passed
from pytest_ipc.verdict.platform.means import lacking_for

from .outcome import Fails, Gives, Outcome, fails, outcome
from .specification import Call, Specification

__all__ = ["Model", "agree", "fails", "outcome"]

_COMMON = settings(
    deadline=None,  # time is measured in benchmarks
    database=None,  # nothing is left in the folder where the suite is run
    print_blob=False,
    report_multiple_bugs=False,
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
# The same histories on every run and every platform; and, with --ipc-thorough, new ones for as long as one has patience.
QUICK = settings(_COMMON, derandomize=True, stateful_step_count=25)
THOROUGH = settings(_COMMON, max_examples=50_000, stateful_step_count=60)


Thing = TypeVar("Thing")


class Model(RuleBasedStateMachine):
    """A mechanism beside a model of it; `ipc` makes what one history needs, and ends it with the history."""

    state: Specification  # of machines that follow one

    def __init__(self, *peers: Any) -> None:
        super().__init__()
        self.peers = peers
        self.history: list[str] = []
        self.differences: list[tuple[int, Deviation]] = []  # with the number of steps before each
        self.doing, self.since = "", 0.0  # the call that has not returned, and when it was made
        self._stack = ExitStack()
        self.ipc: Ipc = self._stack.enter_context(scope())

    def same(self, call: str, kernel: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Take a step with the kernel and with the model; what the kernel gave, None if it failed as it should."""
        value = self.sees(call, kernel, model)
        self.history.append(call)
        return value

    def sees(self, call: str, kernel: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """The same for a call that changes nothing, as an invariant makes it: it has no place in the history."""
        came = self._answer(call, kernel)
        meant = outcome(model)
        if came != meant:
            _no_limit_in_the_way(came)
            difference = Deviation(f"{call} to {meant.told()}", f"it {came.told(past=True)}{self.after}")
            self.differences.append((len(self.history), difference))
            raise difference
        return came.value if isinstance(came, Gives) else None

    def follows(self, call: Call, kernel: Callable[[], Any]) -> bool:
        """Take a step with the kernel and let `self.state` follow; the kernel's result must be one that the specification allows.

        Return whether the call succeeded.
        """
        words = f"{call.process}: {self.state.words(call)}"
        came = self._answer(words, kernel)
        allowed = list(self.state.apply(call))
        after = [state for result, state in allowed if result == came]
        if not after:
            _no_limit_in_the_way(came)
            meant = " or ".join(dict.fromkeys(result.told() for result, _ in allowed)) or "wait"
            difference = Deviation(f"{words} to {meant}", f"it {came.told(past=True)}{self.after}")
            self.differences.append((len(self.history), difference))
            raise difference
        self.history.append(words)
        self.state = after[0]
        return isinstance(came, Gives)

    def _answer(self, words: str, call: Callable[[], Any]) -> Outcome:
        """Make the call to the kernel and return its outcome. _Ended if it has none: there is no such call, or no answer in time."""
        self.doing, self.since = words, monotonic()
        try:
            answer = outcome(call)
        except TimeoutError as error:
            raise _Ended(TimeoutError(f"{error}{self.after}")) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, no later history says more
            raise _Ended(error) from None
        self.doing = ""
        return answer

    @property
    def after(self) -> str:
        """The history so far, as the end of a sentence."""
        return f", after {'; '.join(self.history)}" if self.history else ""

    def one_of(self, data: Any, things: Sequence[Thing]) -> Thing:
        """One of *things*, of Hypothesis' choosing."""
        chosen: int = data.draw(st.integers(0, len(things) - 1))
        return things[chosen]

    def teardown(self) -> None:
        """End what this history has made."""
        self._stack.close()


def _no_limit_in_the_way(came: Outcome) -> None:
    """Untested where a documented limit explains that a call failed, or the platform refuses what the model looks with."""
    if isinstance(came, Fails) and came.error and lacking_for(came.error, "call", "", is_setting_up=False):
        raise _Ended(came.error)
    if isinstance(came, Fails) and (limit := limit_in_the_way(came.error)):
        untested(f"a documented limit is in the way: {limit}")


class _Enough(BaseException):
    """Hypothesis has had its time to simplify; no Exception, for those it would take for one more difference."""


class _Ended(BaseException):
    """A call has no outcome that could be compared, and *error* says why. Hypothesis is not to try it again: it may be slow once."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


# Histories that are tried to make one shorter that was found. Where every call is slow it would go on for minutes.
SIMPLIFICATIONS = 100


def agree(machine: Any, *, thorough: bool = False, histories: int = 20) -> None:
    """Look for a history on which the mechanism and its model differ; Deviation tells the shortest that was found.

    *machine* makes a `Model`, one for each history: the class, or a function that gives it its peers. Of *histories* there
    should be fewer where each one needs processes of its own.
    """
    found: list[tuple[int, Deviation]] = []
    left = SIMPLIFICATIONS
    model: Model | None = None
    number = 0

    def begin() -> Model:
        nonlocal left, model, number
        number += 1
        if found:
            left -= 1
            if left < 0:
                raise _Enough
        model = cast(Model, machine())
        model.differences = found
        return model

    steady = True
    try:
        run_state_machine_as_test(
            cast(Any, begin), settings=THOROUGH if thorough else settings(QUICK, max_examples=histories)
        )
    except (_Enough, Deviation):
        pass
    except _Ended as ended:
        if not found:
            raise ended.error from None
    except (TimeUp, Exception, BaseExceptionGroup) as error:
        seconds = error.seconds if isinstance(error, TimeUp) else time_limit_passed()
        if seconds is not None:  # whatever Hypothesis, or what was being ended, has made of it
            if not found:
                _time_is_up(seconds, model, number)
        elif isinstance(error, Flaky):
            # It differed once and not again: a difference all the same, but of a kernel that does not always do the same.
            steady = False
            if not found and isinstance(error, FlakyFailure):
                raise error.exceptions[0] from None  # of making or ending an object, once: that is to be told
            if not found:
                raise
        else:
            raise
    if found:
        _, shortest = min(
            reversed(found), key=lambda difference: difference[0]
        )  # of equals the last, which is the simplest
        raise Deviation(shortest.expected, shortest.observed if steady else f"{shortest.observed}; not every time")


def _time_is_up(seconds: float, model: Model | None, number: int) -> NoReturn:
    """Say what the time went by with: one call that does not return, or more histories than this machine is fast enough for."""
    if model is not None and model.doing and monotonic() - model.since > seconds / 2:
        raise TimeoutError(
            f"{model.doing} did not return within {monotonic() - model.since:.0f} s{model.after}"
        ) from None
    raise TooSlow(f"the model agreed with the kernel for {seconds:g} s, but only in {number} histories") from None

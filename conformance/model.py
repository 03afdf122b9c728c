"""The base of the models: a mechanism and a short Python model of it, taken through the same steps.

A model is a Hypothesis state machine. Every step makes a call to the kernel first and to the model next; both return a
value or fail with an errno, and these must be equal. Hypothesis searches for steps on which they differ and shrinks
them. The deviation shows the history as calls:

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
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way, need_of
from pytest_ipc.verdict.judge.time_limit import TimeUp, TooSlow, time_limit_passed
from pytest_ipc.verdict.platform.means import lacking_for

from .outcome import Fails, Gives, Outcome, fails, outcome
from .specification import Call, Specification

__all__ = ["Model", "agree", "fails", "outcome"]

_COMMON = settings(
    deadline=None,  # time is only measured in benchmarks
    database=None,  # writes nothing to the current directory
    print_blob=False,
    report_multiple_bugs=False,
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
# The same histories on every run and platform; with --ipc-thorough new ones, for as long as the user waits.
QUICK = settings(_COMMON, derandomize=True, stateful_step_count=25)
THOROUGH = settings(_COMMON, max_examples=50_000, stateful_step_count=60)


Thing = TypeVar("Thing")


class Model(RuleBasedStateMachine):
    """A mechanism and a model of it; `ipc` creates the objects of one history and removes them after it."""

    state: Specification  # of machines that use `follows`

    def __init__(self, *workers: Any) -> None:
        super().__init__()
        self.workers = workers
        self.history: list[str] = []
        self.differences: list[tuple[int, Deviation]] = []  # each with the number of steps before it
        self.doing, self.since = "", 0.0  # the call in progress and its start
        self._stack = ExitStack()
        self.ipc: Ipc = self._stack.enter_context(scope())

    def same(self, call: str, kernel: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Take a step with the kernel and the model; return the kernel's value, or None if it failed as expected."""
        value = self.sees(call, kernel, model)
        self.history.append(call)
        return value

    def sees(self, call: str, kernel: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Do the same for a call that changes nothing, as in an invariant: it is not added to the history."""
        came = self._answer(call, kernel)
        meant = outcome(model)
        if came != meant:
            _no_limit_in_the_way(came)
            difference = Deviation(f"{call} to {meant.in_words()}", f"it {came.in_words(past=True)}{self.after}")
            self.differences.append((len(self.history), difference))
            raise difference
        return came.value if isinstance(came, Gives) else None

    def follows(self, call: Call, kernel: Callable[[], Any]) -> bool:
        """Take a step with the kernel and `self.state`; the kernel's result must be one that the specification allows.

        Return whether the call succeeded.
        """
        words = f"{call.process}: {self.state.words(call)}"
        came = self._answer(words, kernel)
        allowed = list(self.state.apply(call))
        after = [state for result, state in allowed if result == came]
        if not after:
            _no_limit_in_the_way(came)
            meant = " or ".join(dict.fromkeys(result.in_words() for result, _ in allowed)) or "wait"
            difference = Deviation(f"{words} to {meant}", f"it {came.in_words(past=True)}{self.after}")
            self.differences.append((len(self.history), difference))
            raise difference
        self.history.append(words)
        self.state = after[0]
        return isinstance(came, Gives)

    def _answer(self, words: str, call: Callable[[], Any]) -> Outcome:
        """Call the kernel and return the outcome. _Ended if the call does not exist or does not return in time."""
        self.doing, self.since = words, monotonic()
        try:
            answer = outcome(call)
        except TimeoutError as error:
            raise _Ended(TimeoutError(f"{error}{self.after}")) from None
        except Exception as error:  # noqa: BLE001 - a later history would not show more
            raise _Ended(error) from None
        self.doing = ""
        return answer

    @property
    def after(self) -> str:
        """The history so far, as the end of a sentence."""
        return f", after {'; '.join(self.history)}" if self.history else ""

    def one_of(self, data: Any, things: Sequence[Thing]) -> Thing:
        """Return one of *things*, chosen by Hypothesis."""
        chosen: int = data.draw(st.integers(0, len(things) - 1))
        return things[chosen]

    def teardown(self) -> None:
        """Remove the objects of this history."""
        self._stack.close()


def _no_limit_in_the_way(came: Outcome) -> None:
    """Make the clause untested if a documented limit, or a refused call of the model itself, explains the failure."""
    if isinstance(came, Fails) and came.error and lacking_for(came.error, "call", "", is_setting_up=False):
        raise _Ended(came.error)
    if isinstance(came, Fails) and (limit := limit_in_the_way(came.error)):
        untested(need_of(limit), f"a documented limit is in the way: {limit}")


class _Enough(BaseException):
    """Hypothesis has had its time to shrink; not an Exception, which it would take for another difference."""


class _Ended(BaseException):
    """A call has no outcome to compare, because of *error*.

    Not an Exception, so that Hypothesis does not repeat a slow call.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


# Histories tried for shrinking; where every call is slow, more would take minutes.
SIMPLIFICATIONS = 100


def agree(machine: Any, *, thorough: bool = False, histories: int = 20) -> None:
    """Search for a history on which the mechanism and its model differ; raise a Deviation with the shortest one found.

    *machine* creates a `Model` for each history: the class, or a function that passes its workers. Use fewer
    *histories* where each one needs processes of its own.
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
        if seconds is not None:  # even if Hypothesis or a tear-down has replaced the exception
            if not found:
                _time_is_up(seconds, model, number)
        elif isinstance(error, Flaky):
            # It differed once and not again: still a deviation, of a kernel that is not deterministic.
            steady = False
            if not found and isinstance(error, FlakyFailure):
                raise error.exceptions[0] from None  # an object could not be created or removed, once
            if not found:
                raise
        else:
            raise
    if found:
        _, shortest = min(
            reversed(found), key=lambda difference: difference[0]
        )  # the last of equal ones is the simplest
        raise Deviation(shortest.expected, shortest.observed if steady else f"{shortest.observed}; not every time")


def _time_is_up(seconds: float, model: Model | None, number: int) -> NoReturn:
    """Report what took the time: one call that does not return, or too many histories for this machine."""
    if model is not None and model.doing and monotonic() - model.since > seconds / 2:
        raise TimeoutError(
            f"{model.doing} did not return within {monotonic() - model.since:.0f} s{model.after}"
        ) from None
    raise TooSlow(f"the model agreed with the kernel for {seconds:g} s, but only in {number} histories") from None

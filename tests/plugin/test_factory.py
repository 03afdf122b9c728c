"""A short fixture is a factory: called, it creates an object; used as if it were one, it says so."""

from __future__ import annotations

import inspect

import pytest

from pytest_ipc import Ipc, Segment
from pytest_ipc.plugin import fixtures

FACTORIES = sorted({fixture.name for fixture in fixtures._fixtures_of(fixtures)} & set(vars(Ipc)) - {"signals"})


@pytest.mark.parametrize("name", FACTORIES)
def test_uncalled_fixture_explains_its_error(request, name):
    factory = request.getfixturevalue(name)
    with pytest.raises(AttributeError) as caught:
        factory.attach  # noqa: B018 - as a test that forgot the parentheses has it
    assert str(caught.value) == f"{name} is a factory: call it, as in {name}().attach"
    assert caught.value.name == "attach"
    assert not hasattr(factory, "__enter__")


def test_uncalled_fork_explains_its_error(fork):
    with pytest.raises(AttributeError) as caught:
        fork.result()
    assert str(caught.value) == "fork is a factory: call it, as in fork(function).result"


@pytest.mark.parametrize("name", FACTORIES)
def test_a_factory_has_the_name_signature_and_docstring_of_the_method(request, name):
    factory, method = request.getfixturevalue(name), getattr(request.getfixturevalue("ipc"), name)
    assert inspect.signature(factory) == inspect.signature(method)
    assert inspect.getdoc(factory) == inspect.getdoc(method)
    assert repr(factory) == f"<factory {name}{inspect.signature(method)}>"


def test_factory_creates_objects_of_the_scope(sysv_shm, ipc):
    segment = sysv_shm(8192)
    assert isinstance(segment, Segment)
    assert ipc.scope.owned() == [segment]


def test_the_message_is_in_the_report(pytester):
    pytester.makepyfile(
        """
        def test_forgets_to_call(sysv_shm):
            sysv_shm.attach()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "E  *AttributeError: sysv_shm is a factory: call it, as in sysv_shm().attach",
            "test_the_message*.py:2: AttributeError",
        ]
    )

"""Fixtures of the same names in a project or another plugin: they win, and the plugin works without the names."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pytest_ipc.plugin import fixtures

OTHER = """
import pytest

@pytest.fixture
def pipe():
    return "other"

@pytest.fixture(scope="session", name="futex")
def _named_otherwise():
    return "other"

@pytest.fixture(scope="session")
def user(futex):
    return futex

@pytest.fixture(params=["one", "two"])
def ipc(request):
    return request.param

@pytest.fixture
def fifo(fifo):
    return fifo, "extended"
"""
USES = """
def test_they_win(pipe, futex, user):
    assert (pipe, futex, user) == ("other",) * 3

def test_even_the_prefixed(ipc):
    assert ipc in ("one", "two")

def test_they_may_extend_ours(fifo):
    assert fifo[0]().path.exists() and fifo[1] == "extended"

def test_others_are_ours(sysv_shm, eventfd):
    assert sysv_shm().size == 4096
    eventfd().write(1)
"""


def entry_point(path: Path, name: str) -> None:
    """Install the plugin as a distribution: those in a folder are found in an order that is not ours to choose."""
    info = path / f"{name}_plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = other\n")


WAYS = {
    "named on the command line": (["-p", "other"], ""),
    "named in the environment": ([], ""),
    "named by a conftest.py": ([], "pytest_plugins = ['other']"),
    "registered by a conftest.py": (
        [],
        "import other\ndef pytest_configure(config): config.pluginmanager.register(other, 'other')",
    ),
    "registered as late as can be": (
        [],
        "import other\ndef pytest_collection(session): session.config.pluginmanager.register(other, 'other')",
    ),
    "installed": ([], ""),
    "installed before": (["-p", "zzz", "-p", "pytest_ipc.plugin.hooks"], ""),
    "installed after": (["-p", "pytest_ipc.plugin.hooks", "-p", "zzz"], ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_fixtures_of_another_plugin_win_wherever_it_is_loaded(pytester, monkeypatch, way):
    arguments, conftest = WAYS[way]
    pytester.makepyfile(other=OTHER, test_it=USES)
    pytester.makeconftest(conftest)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    if way.startswith("installed"):
        entry_point(pytester.path, "zzz")
    if way == "named in the environment":
        monkeypatch.setenv("PYTEST_PLUGINS", "other")
    if way in ("installed before", "installed after"):
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments)
    result.assert_outcomes(passed=5)


@pytest.mark.parametrize("how", ["object", "class"])
def test_so_do_those_of_an_object(pytester, how):
    pytester.makeconftest(f"""
        import pytest

        class Base:
            @pytest.fixture
            def pipe(self):
                return "base"

            @property
            def broken(self):
                raise RuntimeError("must not be looked at")

        class Other(Base):
            @pytest.fixture
            def pipe(self):
                return "other" if isinstance(self, Other) else "class"

        def pytest_configure(config):
            config.pluginmanager.register(Other() if {how == "object"} else Other)

        if {how == "class"}:
            Other.pipe = pytest.fixture(lambda: "other", name="pipe")
        """)
    pytester.makepyfile("def test_it(pipe): assert pipe == 'other'")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_fixtures_of_a_project_win(pytester):
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def pipe():
            return "mine"

        @pytest.fixture(scope="session")
        def fork():
            return "session"

        @pytest.fixture(scope="module")
        def signals(fork):
            return fork

        @pytest.fixture
        def fifo(fifo):
            return fifo
        """)
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def eventfd(eventfd, futex):
            return eventfd, futex

        @pytest.fixture
        def futex():
            return "of the module"

        def test_fixtures(pipe, fork, signals, fifo, eventfd):
            assert (pipe, fork, signals) == ("mine", "session", "session")
            assert fifo().path
            assert eventfd[1] == "of the module"
            eventfd[0]().write(1)

        @pytest.mark.parametrize("sockets", [1, 2])
        def test_parameter(sockets):
            assert sockets in (1, 2)
        """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_fixtures_depend_on_unambiguous_names():
    for fixture in fixtures._fixtures_of(fixtures):
        assert set(inspect.signature(fixture).parameters) <= {"ipc_scope", "request"}, fixture.name


NAMES = """
import pytest

def names(request):
    manager = request.config.pluginmanager
    listed = vars(manager.get_plugin("ipc-fixtures"))
    return {name for name in listed if not name.startswith("__")}

def test_ours(ipc, ipc_namespace, request):
    assert all(name == "ipc" or name.startswith("ipc_") for name in names(request))
    assert ipc.fifo().path.exists()
    assert ipc.fork(int).result() == 0

@pytest.mark.parametrize("name", ["fifo", "fork", "sysv_shm", "pipe"])
def test_short(request, name):
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue(name)
"""


@pytest.mark.parametrize("how", ["ini", "option"])
def test_the_short_names_can_be_switched_off(pytester, how):
    pytester.makepyfile(NAMES)
    if how == "ini":
        pytester.makeini("[pytest]\nipc_short_names = false\n")
    arguments = ["-o", "ipc_short_names=false"] if how == "option" else []
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments).assert_outcomes(passed=5)
    listed = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--fixtures", *arguments).stdout.str()
    assert "\nipc -- " in listed
    assert "\nipc_namespace -- " in listed
    assert "\nfifo -- " not in listed

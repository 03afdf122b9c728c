"""Each kind of leak is found in the test that caused it, and its clean twin is silent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_ipc.audit.detectors import KINDS
from pytest_ipc.kernel import sysvipc_msg, sysvipc_sem, sysvipc_shm

# By the function in planted.py: the kind, and whether it is proved, and whether it can be removed.
PLANTED = {
    "descriptors": ("descriptors", True, True),
    "processes": ("processes", True, True),
    "zombies": ("processes", True, True),
    "threads": ("threads", True, False),
    "sysv_shm": ("sysv-shm", True, True),
    "sysv_sem": ("sysv-sem", True, True),
    "sysv_msg": ("sysv-msg", True, True),
    "posix_shm": ("posix-shm", True, True),
    "posix_sem": ("posix-sem", True, True),
    "posix_mq": ("posix-mq", True, True),
    "files": ("files", False, False),
    "abstract_sockets": ("abstract-sockets", True, False),
    "mappings": ("mappings", True, False),
    "attached": ("mappings", True, True),
    "locks": ("locks", True, False),
    "dispositions": ("dispositions", True, True),
    "signal_mask": ("signal-mask", True, True),
    "timers": ("timers", True, True),
    "posix_timers": ("timers", True, False),
    "alternate_stack": ("alternate-stack", True, True),
    "wakeup_fd": ("wakeup-fd", True, True),
    "umask": ("umask", True, True),
    "working_directory": ("working-directory", True, True),
    "rlimits": ("rlimits", True, True),
    "environment": ("environment", True, True),
    "namespaces": ("namespaces", True, False),
    "mounts": ("mounts", False, False),
}
AS_ROOT = {"namespaces", "mounts"}
QUEUES_VISIBLE = os.path.ismount("/dev/mqueue")
NAMES = [
    name for name in PLANTED if (name not in AS_ROOT or os.geteuid() == 0) and (name != "posix_mq" or QUEUES_VISIBLE)
]
CLEAN = "".join(f"def test_clean_{name}(ipc): planted.clean(planted.{name})\n" for name in NAMES)
LEAKY = "".join(f"def test_{name}(ipc): planted.leak(planted.{name})\n" for name in NAMES)
# What a kind brings along by its nature: a socket has a descriptor.
COMPANIONS = {
    "posix_shm": {"mappings", "descriptors"},
    "posix_sem": {"mappings"},
    "posix_mq": {"descriptors"},
    "attached": {"sysv-shm"},  # which the attachment keeps
    "abstract_sockets": {"descriptors"},
    "locks": {"descriptors"},
    "wakeup_fd": {"descriptors"},
    "namespaces": {"descriptors"},
}


def test_every_kind_has_a_planted_leak():
    assert {kind for kind, _, _ in PLANTED.values()} == set(KINDS)


def test_a_leak_is_found_named_and_restored(audited):
    found = audited(f"import planted\n{CLEAN}{LEAKY}", "--ipc-leaks=fix")
    for name in NAMES:
        kind, proved, restored = PLANTED[name]
        assert found.kinds(f"test_clean_{name}") == set(), found.leaks[f"test_clean_{name}"]
        assert found.kinds(f"test_{name}") == {kind, *COMPANIONS.get(name, ())}, name
        line = next(line for line in found.leaks[f"test_{name}"] if line.startswith(f"{kind}: "))
        assert ("perhaps" in line) is not proved, line
        assert ("this has been done" in line) is restored, line
    assert set(found.outcomes.values()) == {"passed"}
    assert found.made & existing() == set()
    assert "a secret" not in found.output


def existing() -> set[str]:
    """The IPC objects of this machine, as planted.py writes down its own."""
    return {
        *(f"segment {row.shmid}" for row in sysvipc_shm() or ()),
        *(f"set {row.semid}" for row in sysvipc_sem() or ()),
        *(f"queue {row.msqid}" for row in sysvipc_msg() or ()),
        *(f"name {path.name.removeprefix('sem.')}" for path in Path("/dev/shm").iterdir()),
        *(f"name {path.name}" for path in Path("/dev/mqueue").glob("*")),
    }


def test_a_proved_leak_fails_its_test_and_a_guess_does_not(audited):
    source = """
    import planted

    def test_fd(ipc): planted.leak(planted.descriptors)
    def test_fifo(ipc): planted.leak(planted.files)
    """
    found = audited(source, "--ipc-leaks=error")
    assert found.outcomes == {"test_fd": "error", "test_fifo": "passed"}
    assert "the test leaks descriptors: descriptor" in found.output
    assert "perhaps of this test" in found.output
    assert "--full-trace" not in found.output  # which pytest advises if every frame is hidden


@pytest.mark.parametrize("scope", ["class", "module", "session"])
@pytest.mark.parametrize("name", ["descriptors", "sysv_shm", "mappings"])
def test_what_a_wider_scope_leaves_is_charged_to_it_at_its_end(audited, scope, name):
    source = f"""
    import planted, pytest

    @pytest.fixture(scope="{scope}")
    def leaky():
        planted.leak(planted.{name})
        with planted.{name}():
            yield

    class TestOne:
        def test_first(self, ipc, leaky): pass
        def test_second(self, ipc, leaky): pass
    """
    found = audited(source, "--ipc-leaks=fix")
    assert found.kinds("test_first") == set()
    assert f"fixture leaky of {'the session' if scope == 'session' else 'test_what'}" in " ".join(
        found.leaks["test_second"]
    )


def test_a_scope_whose_first_use_is_inside_a_test_is_charged_too(audited):
    source = """
    import planted, pytest

    @pytest.fixture(scope="module")
    def leaky():
        planted.leak(planted.descriptors)

    def test_asks(ipc, request): request.getfixturevalue("leaky")
    def test_last(ipc): pass
    """
    found = audited(source)
    assert found.kinds("test_asks") == set()
    assert "fixture leaky of" in " ".join(found.leaks["test_last"])


def test_what_a_session_fixture_of_an_unaudited_test_restores_is_no_leak(audited):
    source = """
    import os, pytest

    @pytest.fixture(scope="session")
    def variable():
        os.environ["PLANTED"] = "1"
        yield
        del os.environ["PLANTED"]

    def test_plain(variable): pass
    def test_last(ipc): pass
    """
    assert audited(source).kinds("test_last") == set()


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_fixture_in_use_is_not_charged_when_its_parameter_changes(audited, scope):
    source = f"""
    import os, pytest

    @pytest.fixture(params=[1, 2, 3], scope="{scope}")
    def changing(request):
        file = open("/etc/passwd")
        os.environ["PLANTED"] = str(request.param)
        yield file
        file.close()
        del os.environ["PLANTED"]

    def test_one(ipc, changing): pass
    def test_two(ipc, changing): pass
    """
    found = audited(source, "--ipc-leaks=error")
    assert set(found.outcomes.values()) == {"passed"}, found.output
    assert not any(map(found.kinds, found.leaks))


def test_mounts_of_an_entered_namespace_are_no_leaks(audited):
    if os.geteuid() != 0:
        pytest.skip("unshare(2) needs CAP_SYS_ADMIN")
    source = """
    from pytest_ipc import kernel

    def test_enters(ipc): kernel.unshare(kernel.CLONE_NEWNS)
    """
    found = audited(source)
    assert found.kinds("test_enters") == {"namespaces"}
    assert not [line for line in found.leaks["test_enters"] if line.startswith("mounts: ")]  # guesses too


def test_objects_of_wider_scopes_of_ours_are_no_leaks(audited):
    source = """
    def test_makes(ipc, ipc_session, ipc_module):
        ipc_session.sysv_shm().attach()
        ipc_session.posix_shm()
        ipc_session.pipe()
        ipc_module.fork(__import__("signal").pause)
        ipc_module.spawn(["sleep", "100"])
        ipc_session.sockets.listen_unix(abstract=True)
        ipc_session.fifo()
        ipc_session.posix_mq()
        ipc_session.posix_sem()
        ipc_session.file_lock().acquire()
        ipc_session.mapped_file()
        ipc_session.futex()
        ipc_session.signals.catch(10)
        ipc_session.eventfd()
        ipc_session.timerfd()

    def test_last(ipc): pass
    """
    found = audited(source, "--ipc-leaks=error")
    assert {test: found.kinds(test) for test in found.leaks} == {"test_makes": set(), "test_last": set()}
    assert set(found.outcomes.values()) == {"passed"}


@pytest.mark.skipif(QUEUES_VISIBLE, reason="/dev/mqueue is mounted here")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_what_is_not_mounted_is_noted_once_below_the_leaks(audited, options):
    source = "import os\ndef test_fails(ipc): assert False\ndef test_fails_too(ipc): assert False\n"
    assert "posix-mq" not in audited(source, *options).output
    note = "\nnot looked at: posix-mq: the file system of message queues is not mounted: mount -t mqueue none"
    found = audited(f'{source}def test_leaks(ipc): os.open("/dev/null", os.O_RDONLY)', *options)
    assert found.output.count("posix-mq") == found.output.count(note) == 1


def test_the_trace_of_a_clause_is_not_charged_to_it(audited):
    source = """
    from pytest_ipc import clause

    @clause("own.pipe", "pipe(2)", "DESCRIPTION", level="linux")
    def test_clause(ipc):
        'A pipe can be made.'
        ipc.pipe()
    """
    found = audited(source, "--ipc-leaks=error")
    assert found.outcomes == {"test_clause": "passed"}, found.output

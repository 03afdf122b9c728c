"""With each option and setting the tests have the same outcomes, and nothing is left."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(300)

# The plugins of pytest that can be turned off; the outcomes of "unittest" and others need none of them.
BUILTIN = """
    terminal debugging unittest capture skipping legacypath tmpdir monkeypatch recwarn pastebin assertion junitxml
    doctest setuponly setupplan stepwise unraisableexception threadexception warnings logging reports faulthandler
    subtests pytester_assertions
""".split()


@pytest.mark.parametrize("name", BUILTIN)
def test_without_a_builtin_plugin(beside, name):
    done = beside("", "-p", f"no:{name}")
    done.is_right()
    done.leaves_nothing()


@pytest.mark.parametrize(
    ("python", "arguments", "env"),
    [
        ((), ["--import-mode=importlib"], {}),
        (("-X", "dev"), [], {}),
        (("-O",), [], {}),
        (("-OO",), [], {}),
        ((), ["-W", "error"], {}),
        (("-W", "error"), ["-W", "error"], {}),
        ((), [], {"PYTHONWARNINGS": "error"}),
        ((), ["--assert=plain"], {}),
        ((), ["-s"], {}),
        ((), ["--capture=sys"], {}),
        ((), ["--capture=tee-sys"], {}),
        (("-X", "importtime"), ["--tb=native"], {}),
        ((), ["--setup-show"], {}),
        ((), [], {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONMALLOC": "debug"}),
    ],
    ids="importlib dev O OO W-error W-error-both PYTHONWARNINGS plain s sys tee native setup-show debug".split(),
)
def test_settings(beside, python, arguments, env):
    done = beside("", *arguments, python=python, env=env)
    done.is_right()
    done.leaves_nothing()

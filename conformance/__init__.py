"""The conformance suite: each test states one clause of a manual page, and each clause has one test."""

from pkgutil import iter_modules

import pytest

# The shared modules assert, too, and a verdict gives the values. This package itself is imported by now.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

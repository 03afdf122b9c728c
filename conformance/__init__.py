"""The conformance suite: each test states one clause of a manual page, and each clause has one test."""

from pkgutil import iter_modules

import pytest

# Rewrite the assertions of the shared modules too, so that verdicts show values; this package is already imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

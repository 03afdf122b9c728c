"""The conformance suite: every test states one clause of a manual page, every clause has one test."""

import pytest

# What the files of clauses share asserts, too; a verdict says with which values.
pytest.register_assert_rewrite(__name__)

"""Tests of verdicts: from the outcome of a test to reports and their presentation."""

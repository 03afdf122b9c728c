"""Tests of the documentation: its examples, its links, its reference."""

"""Tests of who owns what, and in which order it goes."""

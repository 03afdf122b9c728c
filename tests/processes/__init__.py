"""Tests of forked children: their results, their sleep, their descriptors, their end and their output."""

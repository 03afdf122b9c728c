"""Tests of benchmarks: every row runs, the statistics are right, the table is generated. No time is asserted."""

"""Tests of the resources: what each makes, refuses, and leaves behind, which is nothing."""

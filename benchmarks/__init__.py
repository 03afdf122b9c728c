"""Benchmarks: this project beside its peers and beside C, in rounds that alternate. `python -m benchmarks --help`."""

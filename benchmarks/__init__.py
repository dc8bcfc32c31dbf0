"""Measurements behind the numbers of the documentation; each module is one command, `python -m benchmarks.NAME`."""

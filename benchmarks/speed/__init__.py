"""Time and memory of every part against the length of its input: `python -m benchmarks`."""

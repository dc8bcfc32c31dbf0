"""Measurements behind the numbers of the documentation; each module is one command, `python -m benchmarks.NAME`."""

import os

# Peak memory is read from torch's profiler, which talks; both are read when torch is imported.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

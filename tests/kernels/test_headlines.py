"""The GPU's headlines run, in triton's interpreter too, and fit the schema; what they show there is no speed."""

import jsonschema
import pytest
import torch

from benchmarks.speed import gpu
from benchmarks.speed.record import SCHEMA

pytestmark = pytest.mark.compile
SHAPES = ((2, 6, 8, torch.float32), (1, 5, 3, torch.bfloat16))


def test_rows(device):
    torch.manual_seed(0)
    rows = gpu.run_headlines(torch.device(device), SHAPES, backend="eager", budget=0.1)
    assert [row["goal"] for row in rows] == [15.0, 1.0, 0.5] * len(SHAPES)
    for row in rows:
        jsonschema.validate(row, {**SCHEMA["$defs"]["headline"], "$defs": SCHEMA["$defs"]})
    names = [row["headline"] for row in rows]
    assert len(set(names)) == len(names)
    assert "(1, 5, 3) bfloat16" in names[-1]

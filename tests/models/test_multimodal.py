"""What every model of the zoo says to wrong calls."""

import pytest
import torch

from mmdisentangle.errors import DtypeError, ModalityError, ShapeError
from mmdisentangle.models import create_model, list_models
from tests.oracles import expect

WIDTHS = {"text": 4, "audio": 2, "vision": 3}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", list_models())
def test_bad_calls(name):
    model = create_model(name, modalities=WIDTHS)
    where = type(model).__name__
    inputs = {modality: torch.randn(5, 9, width) for modality, width in WIDTHS.items()}
    with expect.error(ModalityError, f"{where}: inputs lacks 'audio'"):
        model({"text": inputs["text"], "vision": inputs["vision"]})
    with expect.error(ShapeError, f"{where}: inputs['audio']", "2 features", "got 3"):
        model({**inputs, "audio": torch.randn(5, 9, 3)})
    with expect.error(DtypeError, f"{where}: masks['audio']", "boolean", "int64"):
        model(inputs, {"audio": torch.ones(5, 9).long()})
    with expect.error(ShapeError, "objective: target", "[5, 1] or [5]", "[4]"):
        model.objective(model(inputs), torch.zeros(4))

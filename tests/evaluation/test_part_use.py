"""Codes of one part given to other samples, between encoder and fusion."""

import pytest
import torch

from mmdisentangle import create_model
from mmdisentangle.evaluation.part_use import _Exchange
from tests.small_models import EXACT


@pytest.mark.parametrize("name", ["rtil", "mea", "misa"])
def test_codes_of_the_zoo_can_be_exchanged(name):
    torch.manual_seed(0)
    widths = {"a": 4, "b": 3}
    model = create_model(name, modalities=widths, **EXACT[name]).eval()
    inputs = {"a": torch.randn(5, 6, 4), "b": torch.randn(5, 4, 3)}
    masks = {"a": torch.arange(6) < torch.tensor([[6], [2], [1], [0], [4]])}
    before = model(inputs, masks)
    seen = []

    def look(shared, private, masks):
        seen.append((set(shared), set(private), set(masks)))
        return shared, private

    with torch.no_grad():
        handle = model.register_code_hook(look)
        torch.testing.assert_close(model(inputs, masks).prediction, before.prediction)
        handle.remove()
        for part in ("shared", "private"):
            handle = model.register_code_hook(_Exchange(part, torch.Generator().manual_seed(0)))
            changed = model(inputs, masks)
            handle.remove()
            assert not torch.allclose(changed.fused, before.fused)
        torch.testing.assert_close(model(inputs, masks).prediction, before.prediction)
    assert seen == [({"a", "b"}, {"a", "b"}, {"a"})]


def test_exchanged_codes_are_stretched_over_the_frames_of_the_receiver():
    code = torch.arange(24.0).reshape(3, 8, 1)
    mask = torch.zeros(3, 8, dtype=torch.bool)
    mask[0, :4], mask[1, 6:], mask[2, 1:7:2] = True, True, True
    exchange = _Exchange("shared", torch.Generator().manual_seed(1))
    shared, private = exchange({"a": code}, {"a": code}, {"a": mask})
    assert torch.equal(private["a"], code)
    frames = {0: [0, 1, 2, 3], 1: [14, 15], 2: [17, 19, 21]}
    donors = []
    for receiver in range(3):
        real = shared["a"][receiver, mask[receiver], 0].tolist()
        donor = next(n for n, values in frames.items() if real[0] in values)
        donors.append(donor)
        count = int(mask[receiver].sum())
        assert real == [frames[donor][k * len(frames[donor]) // count] for k in range(count)]
        assert (shared["a"][receiver, ~mask[receiver]] == 0).all()
    assert sorted(donors) == [0, 1, 2]
    assert all(donor != receiver for receiver, donor in enumerate(donors))

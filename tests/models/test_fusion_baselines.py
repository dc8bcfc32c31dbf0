"""Late and early fusion against loops, and what they do without a modality."""

import pytest
import torch
from torch import nn

from mmdisentangle.errors import SettingError
from mmdisentangle.models import EarlyFusion, LateFusion
from tests.oracles import expect
from tests.oracles.draws import coin, normal

WIDTHS = {"text": 4, "audio": 2, "vision": 3}
SMALL = {"hidden_features": 6, "head_features": 5, "encoder_blocks": 1, "encoder_kernel_size": 3}


def build(model, **settings):
    torch.manual_seed(0)
    return model(WIDTHS, 2, **{**SMALL, **settings}).double().eval()


def batch():
    inputs = {name: normal(i, 5, 4 + 3 * i, width) for i, (name, width) in enumerate(WIDTHS.items())}
    masks = {name: coin(i, *x.shape[:2], heads=0.7) for i, (name, x) in enumerate(inputs.items())}
    masks["audio"][0] = False
    for mask in masks.values():
        mask[1] = False
    return inputs, masks


def pooled(frames, width):
    if not len(frames):
        return torch.zeros(2 * width).double()
    return torch.cat((frames.mean(0), frames.amax(0)))


@pytest.mark.parametrize("fusion", ["concat", "mean", "weighted"])
def test_late_fusion_as_loops(fusion):
    model, (inputs, masks) = build(LateFusion, fusion=fusion), batch()
    if fusion == "weighted":
        nn.init.normal_(model.weights)
    output = model(inputs, masks)
    for b in range(5):
        codes, votes, weights = [], [], []
        for m, (name, x) in enumerate(inputs.items()):
            real = masks[name][b]
            codes.append(pooled(model.encoders[name](x, masks[name])[b, real], 6))
            torch.testing.assert_close(output.private[name][b], codes[-1])
            assert not output.shared[name].any()
            if fusion != "concat" and real.any():
                votes.append(model.heads[name](codes[-1]))
                weights.append(model.weights[m].exp().item() if fusion == "weighted" else 1.0)
        torch.testing.assert_close(output.fused[b], torch.cat(codes))
        if fusion == "concat":
            expected = model.head(torch.cat(codes))
        else:
            expected = sum((w / sum(weights) * v for w, v in zip(weights, votes, strict=True)), torch.zeros(2).double())
        torch.testing.assert_close(output.prediction[b], expected)


def test_early_fusion_as_loops():
    model, (inputs, masks) = build(EarlyFusion), batch()
    output = model(inputs, masks)
    for b in range(5):
        real = {name: x[b, masks[name][b]] for name, x in inputs.items()}
        places = max(len(frames) for frames in real.values())
        joined = torch.zeros(1, places, 9).double()
        for t in range(places):
            values = []
            for name, frames in real.items():
                if not len(frames):
                    values.append(torch.zeros(WIDTHS[name]).double())
                    continue
                way = t * (len(frames) - 1) / max(places - 1, 1)
                low = min(int(way + 1e-9), len(frames) - 1)
                high = min(low + 1, len(frames) - 1)
                values.append(frames[low] + (way - low) * (frames[high] - frames[low]))
            joined[0, t] = torch.cat(values)
        expected = pooled(model.joint_encoder(joined)[0], 6)
        torch.testing.assert_close(output.fused[b], expected)
        torch.testing.assert_close(output.prediction[b], model.head(expected))
        for name in WIDTHS:
            shared = expected if len(real[name]) else torch.zeros_like(expected)
            torch.testing.assert_close(output.shared[name][b], shared)
            assert not output.private[name].any()


def test_aligned_streams_are_joined_as_they_are():
    model = build(EarlyFusion)
    inputs = {name: normal(i, 3, 6, width) for i, (name, width) in enumerate(WIDTHS.items())}
    sequence = model.joint_encoder(torch.cat(list(inputs.values()), -1))
    torch.testing.assert_close(model(inputs).fused, torch.cat((sequence.mean(1), sequence.amax(1)), -1))


@pytest.mark.bad_input
@pytest.mark.parametrize("model", [LateFusion, EarlyFusion])
def test_bad_settings(model):
    with expect.error(SettingError, f"{model.__name__}: pooling", "'sum'"):
        build(model, pooling="sum")
    with expect.error(SettingError, f"{model.__name__}: head_features", "0"):
        build(model, head_features=0)
    with expect.error(SettingError, f"{model.__name__}: head_dropout", "2"):
        build(model, head_dropout=2)
    with expect.error(SettingError, "LateFusion: fusion", "'vote'"):
        build(LateFusion, fusion="vote")

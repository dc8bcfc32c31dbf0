"""The slow transcription of the released arithmetic against the fixtures, and against `RTIL(published=True)`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.released_rtil import ReleasedRTIL
from mmdisentangle.models import RTIL
from mmdisentangle.nn import BilinearGate, TransformerBlock

STREAMS = {"text": "t", "audio": "a", "vision": "v"}
# Batch, frames, hidden width, outputs, and the widths of text, audio and video.
SHAPES = [
    (4, 7, 32, 1, (24, 6, 20)),
    (1, 2, 8, 1, (5, 4, 3)),
    (3, 11, 16, 3, (16, 10, 7)),
    (9, 5, 12, 2, (1, 2, 1)),
    (2, 40, 4, 1, (30, 8, 8)),
]


def build(seed, shape, dropout=True):
    """Build both with the same random weights, norms and biases included, and draw inputs."""
    batch, frames, hidden, outputs, widths = shape
    torch.manual_seed(seed)
    theirs = ReleasedRTIL(*widths, hidden_features=hidden, num_outputs=outputs, dropout=dropout).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
    ours = (
        RTIL(dict(zip(STREAMS, widths, strict=True)), outputs, published=True, hidden_features=hidden).double().eval()
    )
    released = theirs.state_dict()
    ours.load_state_dict({own: released[other] for own, other in ours.released_names().items()}, strict=False)
    inputs = {
        name: torch.randn(batch, frames, width, dtype=torch.float64, requires_grad=True)
        for name, width in zip(STREAMS, widths, strict=True)
    }
    return ours, theirs, inputs


def assert_parity(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6 * max(expected.abs().max().item(), 1e-3))


def compare(ours, theirs, inputs, target):
    names = ours.released_names()
    output = ours(inputs)
    objective = ours.objective(output, target)
    gradients = torch.autograd.grad(objective.total, [*inputs.values(), *ours.parameters()], allow_unused=True)
    slow = theirs(*(x.transpose(0, 1) for x in inputs.values()))
    expected = theirs.objective(slow, target)
    by_name = dict(theirs.named_parameters())
    assert set(by_name) == set(names.values())
    parameters = [by_name[names[own]] for own, _ in ours.named_parameters()]
    slow_gradients = torch.autograd.grad(expected.total, [*inputs.values(), *parameters])
    assert_parity(output.prediction, slow.prediction)
    for name, letter in STREAMS.items():
        for family in ("private", "shared", "projected"):
            assert_parity(getattr(output, family)[name], getattr(slow, family)[letter].transpose(0, 1))
        assert_parity(output.reconstruction[name], slow.reconstruction[letter])
        if name != "text":
            assert_parity(output.gates[name], slow.gates[letter].T)
    for term in objective._fields:
        assert_parity(getattr(objective, term), getattr(expected, term))
    labels = [*inputs, *(own for own, _ in ours.named_parameters())]
    for label, gradient, reference in zip(labels, gradients, slow_gradients, strict=True):
        if ".gates." in label:
            assert gradient is None or gradient.abs().max() < 1e-9
            assert reference.abs().max() < 1e-9
        else:
            assert_parity(gradient, reference)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_gradients(seed, shape):
    ours, theirs, inputs = build(seed, shape)
    if shape[0] == 1:
        # The released square root has the gradient NaN at the equal moments of single samples.
        output, slow = ours(inputs), theirs(*(x.transpose(0, 1) for x in inputs.values()))
        assert_parity(output.prediction, slow.prediction)
        target = torch.randn_like(slow.prediction)
        for one, other in zip(ours.objective(output, target), theirs.objective(slow, target), strict=True):
            assert_parity(one, other)
        return
    compare(ours, theirs, inputs, torch.randn(shape[0], shape[3], dtype=torch.float64))


def test_classification():
    ours, theirs, inputs = build(2, SHAPES[2])
    ours.task_term = RTIL(ours.widths, 3, task="classification", hidden_features=4).task_term
    compare(ours, theirs, inputs, torch.tensor([0, 2, 1]))


def test_training_mode_without_dropout_is_the_same_arithmetic():
    ours, theirs, inputs = build(3, SHAPES[0], dropout=False)
    for module in ours.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, BilinearGate):
            module.dropout = 0.0
        if isinstance(module, TransformerBlock):
            module.attention_dropout = 0.0
    compare(ours, theirs.train(), inputs, torch.randn(4, 1, dtype=torch.float64))


def test_dropout_is_where_the_released_program_has_it():
    ours, theirs, _ = build(0, SHAPES[0])
    for name in ("audio", "vision"):
        letter = STREAMS[name]
        assert ours.fusion.gates[name].dropout == getattr(theirs, f"fbp_{letter}t").dropout.p == 0.4
        assert ours.fusion.attention[name].dropout.p == getattr(theirs, f"cross_attn_{letter}t").dropout.p == 0.2
    blocks = [(ours.fusion.block, theirs.transformer_encoder)]
    blocks += [(ours.encoders[n], getattr(theirs, f"transformer_encoder_{STREAMS[n]}")) for n in ("audio", "vision")]
    for block, encoder in blocks:
        assert block.attention_dropout == encoder.layers[0].self_attn.dropout == 0.1
        assert block.dropout.p == encoder.layers[0].dropout1.p == 0.1
        assert block.feedforward[2].p == encoder.layers[0].dropout.p == 0.1
        assert block.num_heads == encoder.layers[0].self_attn.num_heads
        assert block.feedforward[0].out_features == 2048
    assert ours.head[1].p == theirs.fusion[1].p == 0.6
    assert ours.discriminator.hidden[2].p == theirs.discriminator[2].p == 0.6


def test_the_transcription_reproduces_the_released_numbers():
    for fixture in ("rtil_model", "rtil_model_gates"):
        with np.load(Path(__file__).parents[1] / "conformance" / f"{fixture}.npz") as arrays:
            z = {name: torch.from_numpy(arrays[name]).double() for name in arrays.files}
        weights = {name.removeprefix("param."): value for name, value in z.items() if name.startswith("param.")}
        inputs = [z[f"in.{name}"].transpose(0, 1).requires_grad_() for name in ("text", "audio", "video")]
        model = ReleasedRTIL(*(x.shape[-1] for x in inputs), len(weights["shared.shared_1.bias"])).double().eval()
        model.load_state_dict(weights)
        objective = model.objective(model(*inputs), z["in.target"])
        objective.total.backward()
        for own, other in zip(objective._fields, ("total", "task", "domain", "cmd", "recon", "jsd"), strict=True):
            assert getattr(objective, own).item() == pytest.approx(z[f"loss.{other}"].item(), rel=1e-7)
        for x, name in zip(inputs, ("text", "audio", "video"), strict=True):
            assert_parity(x.grad.transpose(0, 1), z[f"grad_in.{name}"])
        for name, parameter in model.named_parameters():
            assert_parity(parameter.grad, z[f"grad.{name}"])

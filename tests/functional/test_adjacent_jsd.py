"""The chunked, memory-lean form of the per-sample divergence against the plain one."""

import pytest
import torch

from benchmarks._measure import peak_bytes
from mmdisentangle.functional import _adjacent_jsd as module
from mmdisentangle.functional import temporal_invariance
from tests.oracles.draws import coin, normal


def plain(x, mask, temperature):
    """One expression over all frames, differentiated by autograd."""
    x = (torch.where(mask.unsqueeze(-1), x, 0.0) if mask is not None else x) / temperature
    log_p = x.log_softmax(-1)
    first, second = log_p[:, :-1], log_p[:, 1:]
    log_m = ((first.exp() + second.exp()) / 2).log()
    return (first.exp() * (first - log_m) + second.exp() * (second - log_m)).sum(-1) / 2


@pytest.mark.parametrize("elements", [1, 30, 60, 90, 1 << 17])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("frames", [2, 3, 8])
def test_chunks_change_nothing(monkeypatch, elements, masked, temperature, frames):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", elements)
    x, mask = normal(1, 3, frames, 10), coin(1, 3, frames) if masked else None
    upstream = normal(2, 3, frames - 1)
    results = []
    for function in (module.adjacent_jsd, plain):
        leaf = x.clone().requires_grad_()
        values = function(leaf, mask, temperature)
        pairs = torch.ones(3, frames - 1) if mask is None else mask[:, :-1] & mask[:, 1:]
        values = values * pairs
        values.backward(upstream)
        results.append((values.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("elements", [1, 40, 1 << 17])
def test_second_derivative_does_not_depend_on_chunks(monkeypatch, elements):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", elements)
    x, mask = normal(1, 2, 5, 4).requires_grad_(), coin(4, 2, 5)
    torch.autograd.gradgradcheck(lambda y: module.adjacent_jsd(y, None, 0.8), x)
    torch.autograd.gradgradcheck(lambda y: temporal_invariance(y, mask), x)


def test_padding_may_hold_anything(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 20)
    x, mask = normal(1, 2, 7, 4), coin(5, 2, 7)
    results = []
    for garbage in (0.0, float("nan"), float("inf")):
        leaf = torch.where(mask.unsqueeze(-1), x, garbage).requires_grad_()
        loss = temporal_invariance(leaf, mask)
        loss.backward()
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(results[0], results[2], rtol=0, atol=0)


def test_half_precision_gradient_is_rounded_once(monkeypatch):
    """A frame at the edge of two chunks gets the sum of two parts, added in float32."""
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 8)
    x = normal(1, 1, 6, 8).bfloat16().requires_grad_()
    temporal_invariance(x, reduction="sum").backward()
    exact = x.detach().double().requires_grad_()
    temporal_invariance(exact, reduction="sum").backward()
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_memory_of_long_sequences(masked):
    """At most 1.5 times the input for forward and backward together; 1.0 is the gradient itself."""
    x = torch.randn(8, 5000, 256, requires_grad=True)
    mask = torch.rand(8, 5000) < 0.9 if masked else None
    peak = peak_bytes(lambda: temporal_invariance(x, mask).backward())
    assert 1.0 <= peak / (x.numel() * x.element_size()) <= 1.5

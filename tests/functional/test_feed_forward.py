"""The feed-forward network whose hidden layer is computed again equals the one that keeps it."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import linear

from mmdisentangle._core.dropout import draw_seed, kept_levels, seeded_relu_dropout
from mmdisentangle.functional import _feed_forward
from mmdisentangle.functional._feed_forward import relu_feed_forward
from mmdisentangle.nn import TransformerBlock


@pytest.fixture
def recomputed(monkeypatch):
    """Whatever the size; chunks of 8 rows."""
    monkeypatch.setattr(_feed_forward, "_RECOMPUTED_FROM", 0)
    monkeypatch.setattr(_feed_forward, "_CHUNK_ENTRIES", 100)


def parameters(dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (3, 7, 5), (12, 5), (12,), (4, 12), (4,)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def plain(x, weight_in, bias_in, weight_out, bias_out, p):
    seed = draw_seed()
    return linear(seeded_relu_dropout(linear(x, weight_in, bias_in), seed, kept_levels(p)), weight_out, bias_out)


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_value_and_gradients(recomputed, p):
    tensors, upstream = parameters(), torch.randn(3, 7, 4, dtype=torch.float64)
    results = []
    for run in (plain, lambda *a, p: relu_feed_forward(*a, p=p, training=True)):
        torch.manual_seed(1)
        y = run(*tensors, p=p)
        results.append((y, *torch.autograd.grad(y, tensors, upstream)))
    for expected, own in zip(*results, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-12)


def test_evaluation_has_no_dropout(recomputed):
    x, w_in, b_in, w_out, b_out = parameters()
    expected = linear(linear(x, w_in, b_in).relu(), w_out, b_out)
    torch.testing.assert_close(relu_feed_forward(x, w_in, b_in, w_out, b_out, p=0.5), expected)


def test_derivatives(recomputed):
    tensors = parameters()

    def seeded(*tensors):
        torch.manual_seed(2)
        return relu_feed_forward(*tensors, p=0.3, training=True).square()

    assert torch.autograd.gradcheck(seeded, tensors)
    assert torch.autograd.gradgradcheck(seeded, tensors, atol=1e-4)


def test_transforms(recomputed):
    tensors = parameters()

    def loss(x, *rest):
        return relu_feed_forward(x, *rest).square().sum()

    expected = torch.autograd.grad(loss(*tensors), tensors[0])[0]
    torch.testing.assert_close(grad(loss)(*tensors), expected)
    per_sample = vmap(grad(loss), in_dims=(0, None, None, None, None))(*tensors)
    torch.testing.assert_close(per_sample, expected)
    y = relu_feed_forward(*tensors)
    jacobian_rows = torch.autograd.grad(
        y[0, 0, :2], tensors[1], torch.eye(2).double(), retain_graph=True, is_grads_batched=True
    )[0]
    for row, output in zip(jacobian_rows, y[0, 0, :2], strict=True):
        torch.testing.assert_close(row, torch.autograd.grad(output, tensors[1], retain_graph=True)[0])


def test_input_without_gradient(recomputed):
    x, *rest = parameters()
    y = relu_feed_forward(x.detach(), *rest, p=0.2, training=True)
    y.sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in rest)


def test_keeps_less_where_it_is_large(monkeypatch):
    def kept_entries():
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            relu_feed_forward(*parameters(), p=0.5, training=True)
        # Inputs, weights and one number, but nothing of the 21 x 12 hidden entries.
        return any(t.numel() == 21 * 12 for t in kept)

    assert kept_entries()
    monkeypatch.setattr(_feed_forward, "_RECOMPUTED_FROM", 21 * 12)
    assert not kept_entries()


def test_block_uses_it(recomputed):
    block = TransformerBlock(6, num_heads=2, dropout=0.0).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        functional_call(block, dict(block.named_parameters()), x)
    assert not any(tuple(t.shape) in ((2, 5, 24), (10, 24)) for t in kept)


def test_half_precision_is_not_summed_in_chunks(monkeypatch):
    """Sums over many chunks in bfloat16 stall."""
    monkeypatch.setattr(_feed_forward, "_CHUNK_ENTRIES", 100)
    exact = [tensor.detach() for tensor in parameters()]
    exact[0] = torch.randn(2000, 5, dtype=torch.float64)
    errors = []
    for limit in (0, 1 << 40):
        monkeypatch.setattr(_feed_forward, "_RECOMPUTED_FROM", limit)
        low = [tensor.bfloat16().requires_grad_() for tensor in exact]
        wanted = [tensor.bfloat16().double().requires_grad_() for tensor in exact]
        for tensors in (low, wanted):
            relu_feed_forward(*tensors).double().mean(0).sum().backward()
        scale = wanted[1].grad.norm()
        errors.append((low[1].grad.double() - wanted[1].grad).norm() / scale)
    assert errors[0] < 2 * errors[1] < 0.02


@pytest.mark.parametrize("frozen", [(1, 2), (3, 4), (0,), (0, 1, 2, 3)])
def test_frozen_parameters(recomputed, frozen):
    tensors = parameters()
    for index in frozen:
        tensors[index].requires_grad_(False)
    trained = [tensor for tensor in tensors if tensor.requires_grad]
    own = torch.autograd.grad(relu_feed_forward(*tensors).sum(), trained)
    x, w_in, b_in, w_out, b_out = tensors
    expected = torch.autograd.grad(linear(linear(x, w_in, b_in).relu(), w_out, b_out).sum(), trained)
    torch.testing.assert_close(own, expected)


def test_backward_inside_autocast(recomputed):
    tensors = parameters(torch.float32)
    y = relu_feed_forward(*tensors)
    with torch.autocast("cpu", torch.bfloat16):
        y.sum().backward()
    assert tensors[1].grad.dtype == torch.float32


def test_forward_mode(recomputed):
    tensors = [tensor.detach() for tensor in parameters()]
    tangents = [torch.randn_like(tensor) for tensor in tensors]
    _, change = torch.func.jvp(relu_feed_forward, tuple(tensors), tuple(tangents))
    x, w_in, b_in, w_out, b_out = tensors
    _, expected = torch.func.jvp(
        lambda *t: linear(linear(t[0], t[1], t[2]).relu(), t[3], t[4]), (x, w_in, b_in, w_out, b_out), tuple(tangents)
    )
    torch.testing.assert_close(change, expected)

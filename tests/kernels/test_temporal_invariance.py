"""The fused kernel against the readable definition in float64."""

import sys
from functools import partial

import pytest
import torch

from mmdisentangle import functional
from mmdisentangle.kernels import temporal_invariance
from mmdisentangle.testing import Case, Frames, check_contract
from tests.oracles.draws import coin, normal

room = sys.modules["mmdisentangle.kernels.temporal_invariance"]
# Passed to the fixture `device`, which skips the test where the kernel runs in the interpreter.
only_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
fused = partial(temporal_invariance, impl="fused")
reference = functional.temporal_invariance
# Widths: one, odd, several stretches to a tile, one tile with and without a rest.
SHAPES = [(2, 5, 3), (1, 2, 1), (2, 1, 4), (3, 6, 17), (2, 5, 130), (1, 5, 256)]
LARGE = [(8, 5000, 256), (32, 500, 256), (3, 1001, 1000), (2, 70, 8192), (1, 100_000, 5)]
MASKS = {
    "none": lambda B, T: None,
    "left": lambda B, T: torch.arange(T).expand(B, T) >= torch.arange(B)[:, None] + 1,
    "right": lambda B, T: torch.arange(T).expand(B, T) < T - torch.arange(B)[:, None] - 1,
    "holes": lambda B, T: coin(3, B, T),
    "empty": lambda B, T: torch.zeros(B, T, dtype=torch.bool),
}
TOLERANCE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    # The interpreter cuts float32 to bfloat16 instead of rounding.
    torch.bfloat16: {"rtol": 2**-7, "atol": 1e-6},
    torch.float16: {"rtol": 2**-11, "atol": 1e-6},
}


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch):
    """Fill new memory with NaN, so that an element that no program writes is noticed."""
    empty = torch.empty

    def poisoned(*size, **options):
        memory = empty(*size, **options)
        return memory.fill_(float("nan")) if memory.is_floating_point() else memory

    monkeypatch.setattr(torch, "empty", poisoned)


def evaluate(function, x, mask=None, upstream=None, **settings):
    """Return the result of ``function`` and the gradient at ``x``, on the CPU in float64."""
    x = x.detach().requires_grad_()
    result = function(x, mask, **settings)
    result.backward(torch.ones_like(result) if upstream is None else upstream.to(result))
    assert x.grad.dtype == x.dtype
    return result.detach().double().cpu(), x.grad.double().cpu()


def agrees(x, mask=None, upstream=None, **settings):
    """Compare value and gradient; return both."""
    # The result is float32 for half-precision inputs, the gradient is rounded to their type.
    actual = evaluate(fused, x, mask, upstream, **settings)
    cpu_mask = None if mask is None else mask.cpu()
    expected = evaluate(reference, x.detach().cpu().double(), cpu_mask, upstream, **settings)
    torch.testing.assert_close(actual[0], expected[0], **TOLERANCE[torch.float32])
    torch.testing.assert_close(actual[1], expected[1], **TOLERANCE[x.dtype])
    return actual


def draw(device, shape, mask="none", dtype=torch.float32, scale=1.0):
    mask = MASKS[mask](*shape[:2])
    x = normal(1, *shape, scale=scale).to(dtype)
    if mask is not None:
        x = torch.where(mask.unsqueeze(-1), x, float("nan"))
        mask = mask.to(device)
    return x.to(device), mask


# ---- values and gradients


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_pair_with_a_weight_of_its_own(device, shape, mask):
    x, mask = draw(device, shape, mask)
    upstream = normal(2, shape[0], shape[1] - 1)
    terms, gradient = agrees(x, mask, upstream, reduction="none", temperature=0.7)
    if mask is not None:
        mask = mask.cpu()
        assert (terms[~(mask[:, :-1] & mask[:, 1:])] == 0).all()
        assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_reductions_and_dtypes(device, dtype, masked, reduction):
    x, mask = draw(device, (2, 6, 20), "holes" if masked else "none", dtype, scale=3.0)
    assert fused(x, mask, reduction=reduction).dtype == torch.float32
    agrees(x, mask, reduction=reduction)


@pytest.mark.parametrize("frames", [32, 33, 70])
def test_stretches_of_different_lengths(device, monkeypatch, frames):
    """Long batches are cut into longer stretches; pretend that few programs are enough."""
    from mmdisentangle.kernels import _adjacent_jsd

    monkeypatch.setattr(_adjacent_jsd, "_ENOUGH_PROGRAMS", 1)
    x, mask = draw(device, (3, frames, 4), "holes")
    agrees(x, mask, normal(2, 3, frames - 1), reduction="none")


@only_gpu
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mask", ["none", "holes"])
def test_long_sequences(device, shape, dtype, mask):
    x, mask = draw(device, shape, mask, dtype)
    agrees(x, mask, normal(2, shape[0], shape[1] - 1), reduction="none")


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(0, 1),
        lambda x: x.transpose(1, 2),
        lambda x: x[:, ::2],
        lambda x: x[..., 1:4],
        lambda x: x[..., ::2],
        lambda x: x[:1].expand(3, -1, -1),
        lambda x: x[..., :1].expand(-1, -1, 5),
        lambda x: x.flip(1).transpose(0, 2),
    ],
)
def test_any_layout(device, view):
    x = view(normal(1, 4, 6, 7).float().to(device))
    # A transposed mask and an upstream gradient that is one number seen many times.
    mask = coin(2, *x.shape[1::-1], heads=0.9).mT.to(device)
    agrees(x, mask, torch.tensor(0.5).expand(x.shape[0], x.shape[1] - 1), reduction="none")


def test_padding_may_hold_anything(device):
    mask = coin(5, 2, 7).to(device)
    x = normal(1, 2, 7, 4).float().to(device)
    results = [
        evaluate(fused, torch.where(mask.unsqueeze(-1), x, garbage), mask)
        for garbage in (0.0, float("nan"), float("inf"))
    ]
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(results[0], results[2], rtol=0, atol=0)


def test_upstream_of_invalid_pairs_is_not_read(device):
    x, mask = draw(device, (2, 6, 5), "holes")
    upstream = torch.full((2, 5), float("nan"), device=device)
    upstream[mask[:, :-1] & mask[:, 1:]] = 1.0
    values, sums = room._forward(x, mask, 1.0)
    gradient = room._backward(x, mask, sums, upstream, 1.0)
    expected = evaluate(reference, x.cpu().double(), mask.cpu(), reduction="sum")
    torch.testing.assert_close(values.double().cpu().sum(), expected[0], **TOLERANCE[torch.float32])
    torch.testing.assert_close(gradient.double().cpu(), expected[1], **TOLERANCE[torch.float32])


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (2, 1, 3), (2, 5, 0)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_compare(device, shape, reduction):
    x = torch.randn(shape, device=device, requires_grad=True)
    loss = fused(x, reduction=reduction)
    assert loss.shape == reference(x, reduction=reduction).shape
    loss.sum().backward()
    assert (loss == 0).all()
    assert x.grad.shape == x.shape
    assert (x.grad == 0).all()


def test_the_same_bits_every_time(device):
    x, mask = draw(device, (3, 7, 33), "holes")
    torch.testing.assert_close(evaluate(fused, x, mask), evaluate(fused, x, mask), rtol=0, atol=0)


# ---- precision


@pytest.mark.parametrize("step", [1e-4, 1e-3, 1e-2, 0.2, 1.0, 8.0])
def test_float32_is_as_good_as_its_input(device, step):
    """At the step 1e-3 the divergence is 2.5e-7 per unit of variance, where entropies lose every digit."""
    x = (normal(0, 2, 1, 64) + step * normal(1, 2, 5, 64)).float().to(device)
    actual, expected = evaluate(fused, x), evaluate(reference, x.cpu().double())
    assert actual[0].item() == pytest.approx(expected[0].item(), rel=2e-6)
    # A step of 1e-4 is known to 6e-8 / 1e-4 only, once the log-sum-exps are rounded.
    assert (actual[1] - expected[1]).norm() / expected[1].norm() < (2e-5 if step > 1e-4 else 2e-4)


def test_every_ratio_of_probabilities(device):
    """Two features, and a log ratio on a fine grid across the point where the series gives way to the logarithm."""
    ratio = torch.linspace(-3, 3, 25, device=device)
    x = torch.stack((torch.zeros_like(ratio), ratio), -1).unsqueeze(1)
    x = torch.cat((torch.zeros_like(x), x), 1)
    actual = evaluate(fused, x, reduction="none")
    expected = evaluate(reference, x.cpu().double(), reduction="none")
    torch.testing.assert_close(actual, expected, rtol=3e-6, atol=1e-12)


# The interpreter minds that the series overflows where it is not wanted.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("gap", [30.0, 60.0, 89.0, 1e4])
def test_saturated_logits(device, gap):
    x = torch.tensor([[[0.0, 0.0, gap], [gap, 0.0, 0.0], [0.0, gap, 1.0], [0.0, gap, 1.0], [-gap, 0.0, -gap]]])
    actual, expected = (
        evaluate(fused, x.to(device), reduction="none"),
        evaluate(reference, x.double(), reduction="none"),
    )
    # The log-sum-exp carries the rounding of the largest logit.
    close = {"rtol": 1e-5, "atol": 1e-6} if gap < 1e4 else {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(actual, expected, **close)


def test_constant_sequences_cost_nothing(device):
    loss, gradient = evaluate(fused, torch.randn(3, 1, 8, device=device).expand(3, 6, 8).clone())
    assert loss == 0
    assert gradient.abs().max() < 1e-7


# ---- what a function of PyTorch can do


def test_function_transforms(device):
    x, mask = normal(2, 3, 2, 4, 3).float().to(device), coin(2, 3, 2, 4).to(device)
    gradients = torch.func.vmap(torch.func.grad(fused))(x, mask)
    shared_mask = torch.func.vmap(torch.func.grad(fused), in_dims=(1, None), out_dims=1)(x.transpose(0, 1), mask[0])
    for k in range(3):
        expected = evaluate(reference, x[k].cpu().double(), mask[k].cpu())
        torch.testing.assert_close(gradients[k].cpu().double(), expected[1], **TOLERANCE[torch.float32])
        torch.testing.assert_close(torch.func.grad(fused)(x[k], mask[k]), gradients[k])
        expected = evaluate(reference, x[k].cpu().double(), mask[0].cpu())
        torch.testing.assert_close(shared_mask[:, k].cpu().double(), expected[1], **TOLERANCE[torch.float32])
    values = torch.stack([fused(a, b) for a, b in zip(x, mask, strict=True)])
    torch.testing.assert_close(torch.func.vmap(fused)(x, mask), values)
    of_all = torch.func.grad(lambda y: torch.func.vmap(fused)(y, mask).sum())(x)
    torch.testing.assert_close(of_all, gradients)


def test_jacobian(device):
    x = normal(3, 1, 3, 4).float()

    def jacobian(function, y):
        return torch.func.jacrev(partial(function, reduction="none"))(y).double().cpu()

    torch.testing.assert_close(jacobian(fused, x.to(device)), jacobian(reference, x.double()), rtol=1e-5, atol=1e-6)


def second_derivative(function, x, mask, upstream):
    """Differentiate a combination of the gradient with respect to ``x`` and the upstream gradient."""
    x, upstream = x.detach().requires_grad_(), upstream.to(x).requires_grad_()
    terms = function(x, mask, reduction="none", temperature=0.8)
    (gradient,) = torch.autograd.grad(terms, x, upstream, create_graph=True)
    return [part.double().cpu() for part in torch.autograd.grad(gradient.square().sum(), (x, upstream))]


def test_second_derivative_is_that_of_the_reference(device):
    x, mask = draw(device, (2, 5, 4), "holes")
    upstream = normal(4, 2, 4)
    actual = second_derivative(fused, x, mask, upstream)
    expected = second_derivative(reference, x.cpu().double(), mask.cpu(), upstream)
    assert all(part.abs().max() > 1e-3 for part in expected)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    hessian = torch.func.jacrev(torch.func.jacrev(fused))(x.nan_to_num()).double().cpu()
    expected = torch.func.jacrev(torch.func.jacrev(reference))(x.nan_to_num().cpu().double())
    torch.testing.assert_close(hessian, expected, rtol=1e-4, atol=1e-6)


def test_forward_mode_raises(device):
    """Not supported, and said so: silence would be a zero derivative. torch names the rule that is missing."""
    x = torch.randn(1, 3, 4, device=device)
    # What torch itself raises for an autograd.Function without a rule for forward mode; nothing here is unfinished.
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(fused, (x,), (x,))
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.hessian(fused)(x)


@pytest.mark.compile
def test_one_graph_for_all_lengths(device):
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(fused, fullgraph=True, dynamic=True, backend=count)
    for frames in (4, 5, 7):
        x, mask = draw(device, (2, frames, 3), "holes")
        torch.testing.assert_close(evaluate(compiled, x, mask), evaluate(fused, x, mask))
    assert len(graphs) == 1


@pytest.mark.compile
def test_compiled_with_autograd(device):
    compiled = torch.compile(fused, fullgraph=True, dynamic=True, backend="aot_eager")
    x, mask = draw(device, (2, 5, 3), "holes")
    torch.testing.assert_close(evaluate(compiled, x, mask), evaluate(fused, x, mask))


@pytest.mark.compile
def test_compiled_transforms_raise(device):
    compiled = torch.compile(torch.func.grad(fused), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match="fake tensor"):
        compiled(torch.randn(2, 5, 3, device=device))


class Fused(torch.nn.Module):
    def forward(self, x, mask):
        return fused(x, mask)


@pytest.mark.compile
def test_exported_programs_give_values_and_refuse_gradients(device):
    x, mask = draw(device, (2, 5, 3), "holes")
    axes = {0: torch.export.Dim("B", min=2), 1: torch.export.Dim("T", min=3)}
    program = torch.export.export(Fused(), (x, mask), dynamic_shapes=(axes, axes)).module()
    x, mask = draw(device, (3, 6, 3), "holes")
    loss = program(x.requires_grad_(), mask)
    torch.testing.assert_close(loss, fused(x, mask))
    with pytest.raises(RuntimeError, match="no autograd formula"):
        loss.backward()


@pytest.mark.compile
@pytest.mark.parametrize("masked", [False, True])
def test_operators(device, masked):
    x, mask = draw(device, (2, 5, 3), "holes" if masked else "none")
    torch.library.opcheck(room._forward_operator, (x, mask, 0.8))
    _, sums = room._forward(x, mask, 0.8)
    torch.library.opcheck(room._backward_operator, (x, mask, sums, torch.randn(2, 4, device=device), 0.8))


# The other checks compare in float64, which the kernel refuses.
CONTRACT = [
    "batch_of_one",
    "empty_batch",
    "single_frame",
    "no_frames",
    "empty_sample",
    "half_precision",
    "half_precision_range",
    "autocast",
    "inputs_unmodified",
]


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(device, check):
    case = Case(
        name="kernels.temporal_invariance",
        variant="fused",
        build=lambda: fused,
        arguments=(Frames("x", 5, mask="mask"),),
        device=device,
    )
    check_contract(case, only=[check])


# ---- on a GPU only


@only_gpu
def test_memory(device):
    x = torch.randn(8, 5000, 256, device=device, requires_grad=True)
    fused(x).backward()
    x.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fused(x).backward()
    assert torch.cuda.max_memory_allocated() - before <= 1.05 * x.numel() * x.element_size()


@only_gpu
def test_more_elements_than_32_bits_count(device):
    shape = (5, 3_400_000, 128)
    if torch.cuda.get_device_properties(0).total_memory < 16 * 2**30:
        pytest.skip("needs 16 GiB of GPU memory")
    x = torch.zeros(shape, device=device, dtype=torch.bfloat16)
    assert x.numel() > 2**31
    x[-1, -9:] = torch.randn(9, 128)
    x.requires_grad_()
    terms = fused(x, reduction="none")
    terms.sum().backward()
    expected = evaluate(reference, x[-1:, -10:].detach().cpu().double(), reduction="none")
    torch.testing.assert_close(terms[-1:, -9:].detach().double().cpu(), expected[0], **TOLERANCE[torch.float32])
    torch.testing.assert_close(x.grad[-1:, -10:].double().cpu(), expected[1], **TOLERANCE[torch.bfloat16])
    assert terms[:-1].count_nonzero() == 0
    assert x.grad[:-1].abs().max() < 1e-6


@only_gpu
def test_graph_capture(device):
    x = torch.randn(2, 50, 64, device=device, requires_grad=True)
    fused(x).backward()
    x.grad = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = fused(x)
        loss.backward()
    with torch.no_grad():
        x.copy_(torch.randn_like(x))
    graph.replay()
    expected = evaluate(fused, x)
    torch.testing.assert_close((loss.double().cpu(), x.grad.double().cpu()), expected)

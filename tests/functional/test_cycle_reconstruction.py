import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from mmdisentangle.functional import cycle_reconstruction
from tests.oracles import expect
from tests.oracles.draws import coin, masked_sequences, normal, seeds


def test_halved_codes():
    code = torch.tensor([[3.0, 4.0], [0.0, 5.0]], dtype=torch.float64)
    assert cycle_reconstruction(code, code / 2).item() == pytest.approx(50 / 4 / 4)
    assert cycle_reconstruction(code, code / 2, relative=True).item() == pytest.approx(0.25)
    assert cycle_reconstruction(code, code) == 0


@given(masked_sequences(), seeds, st.booleans())
def test_loops(problem, seed, relative):
    code, mask = problem
    recovered = normal(seed, *code.shape)
    errors, squares = [], []
    for p, q, real in zip(code.flatten(0, 1), recovered.flatten(0, 1), mask.flatten(), strict=True):
        if real:
            errors += [(a - b) ** 2 for a, b in zip(p.tolist(), q.tolist(), strict=True)]
            squares += [a**2 for a in p.tolist()]
    expected = sum(errors) / len(errors) if errors else 0.0
    if relative and errors:
        expected /= sum(squares) / len(squares)
    dirty = torch.where(mask.unsqueeze(-1), code, float("nan")), torch.where(mask.unsqueeze(-1), recovered, torch.inf)
    assert cycle_reconstruction(*dirty, mask, relative=relative).item() == pytest.approx(expected, rel=1e-9)


@given(seeds, st.sampled_from([0.01, 100.0]))
def test_smaller_codes_cost_less_unless_it_is_relative(seed, scale):
    code, recovered = normal(seed, 4, 3), normal(seed + 1, 4, 3)
    plain, relative = (cycle_reconstruction(code, recovered, relative=flag) for flag in (False, True))
    torch.testing.assert_close(cycle_reconstruction(scale * code, scale * recovered), scale**2 * plain)
    torch.testing.assert_close(cycle_reconstruction(scale * code, scale * recovered, relative=True), relative)


@pytest.mark.parametrize("relative", [False, True])
def test_derivatives(relative):
    code, recovered = normal(0, 2, 3, 4).requires_grad_(), normal(1, 2, 3, 4).requires_grad_()
    mask = coin(0, 2, 3)
    torch.autograd.gradcheck(lambda p, q: cycle_reconstruction(p, q, mask, relative=relative), (code, recovered))


def test_the_code_may_be_a_constant():
    code, recovered = normal(0, 4, 3).requires_grad_(), normal(1, 4, 3).requires_grad_()
    cycle_reconstruction(code, recovered, detach_code=True).backward()
    assert code.grad is None
    torch.testing.assert_close(recovered.grad, (recovered - code).detach() / 6)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (4, 0), (3, 2)])
@pytest.mark.parametrize("relative", [False, True])
def test_nothing_to_compare(shape, relative):
    code = torch.zeros(shape, requires_grad=True)
    loss = cycle_reconstruction(code, torch.zeros(shape), relative=relative)
    loss.backward()
    assert loss == 0
    assert (code.grad == 0).all()


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "arguments", "settings"),
    [
        (ShapeError, ("code must have shape", "[3]"), (X[0], X[0]), {}),
        (ShapeError, ("recovered and code", "[4, 2]", "[4, 3]"), (X, X[:, :2]), {}),
        (DtypeError, ("code must be", "int64"), (X.long(), X), {}),
        (ShapeError, ("mask", "[4]", "[3]"), (X, X, torch.ones(3).bool()), {}),
        (SettingError, ("relative", "True or False"), (X, X), {"relative": 1}),
        (SettingError, ("detach_code", "True or False"), (X, X), {"detach_code": "no"}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments, settings):
    with expect.error(exception, "cycle_reconstruction: ", *words):
        cycle_reconstruction(*arguments, **settings)

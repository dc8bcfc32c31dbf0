import pytest
import torch
from hypothesis import given

from mmdisentangle.errors import DtypeError, ModalityError, ShapeError
from mmdisentangle.nn import ReconstructionLoss
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds


@given(seeds)
def test_loops(seed):
    """Mean over modalities of the mean over real entries, the lengths unequal."""
    shapes = {"a": (3, 4, 2), "b": (3, 0, 2), "c": (3, 7, 5)}
    target = {name: normal(seed + i, *shape) for i, (name, shape) in enumerate(shapes.items())}
    given_codes = {name: normal(seed + 7 + i, *shape) for i, (name, shape) in enumerate(shapes.items())}
    masks = {name: coin(seed + i, *shapes[name][:2]) for i, name in enumerate(("a", "b"))}
    expected = 0.0
    for name in shapes:
        mask = masks.get(name, torch.ones(shapes[name][:2], dtype=torch.bool))
        squares = [v**2 for v in (given_codes[name] - target[name])[mask].flatten().tolist()]
        expected += sum(squares) / max(len(squares), 1) / len(shapes)
    loss = ReconstructionLoss()(given_codes, target, masks)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_target_learns_unless_it_is_detached():
    for detached in (False, True):
        x = {"a": torch.randn(1, 2, 3, requires_grad=True)}
        y = {"a": torch.randn(1, 2, 3, requires_grad=True)}
        ReconstructionLoss(detach_target=detached)(x, y).backward()
        torch.testing.assert_close(x["a"].grad, (x["a"] - y["a"]).detach() / 3)
        assert (y["a"].grad is None) is detached
        if not detached:
            torch.testing.assert_close(y["a"].grad, -x["a"].grad)


def test_padding_of_both_sides_is_invisible():
    x, y = torch.randn(1, 3, 2), torch.randn(1, 3, 2)
    mask = torch.tensor([[True, True, False]])
    expected = (x - y)[:, :2].square().mean()
    x[:, 2], y[:, 2] = float("nan"), float("inf")
    torch.testing.assert_close(ReconstructionLoss()({"a": x}, {"a": y}, {"a": mask}), expected)


X = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "reconstruction", "target", "masks"),
    [
        (ModalityError, ("reconstruction names the modality 'b'",), {"b": X}, {"a": X}, None),
        (ModalityError, ("reconstruction lacks 'b'",), {"a": X}, {"a": X, "b": X}, None),
        (DtypeError, ("reconstruction must be a mapping",), X, {"a": X}, None),
        (DtypeError, ("target must be a mapping", "Tensor"), {"a": X}, X, None),
        (DtypeError, ("target['a']", "list"), {"a": X}, {"a": [1.0]}, None),
        (ShapeError, ("reconstruction['a']", "target['a']", "[2, 3, 4]", "[3, 4]"), {"a": X}, {"a": X[0]}, None),
        (ShapeError, ("masks['a']", "[2, 3]", "[2, 4]"), {"a": X}, {"a": X}, {"a": torch.ones(2, 4).bool()}),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, reconstruction, target, masks):
    with expect.error(exception, "ReconstructionLoss: ", *words):
        ReconstructionLoss()(reconstruction, target, masks)

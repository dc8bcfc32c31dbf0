import pytest
import torch

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.functional import modality_triplet_loss
from mmdisentangle.nn import ModalityTripletLoss
from tests.oracles import expect
from tests.oracles.draws import normal

TARGET = torch.tensor([0, 1, 2, 0, 1, 0])


def codes():
    return {name: normal(i, 6, 4) for i, name in enumerate(("text", "audio", "vision"))}


@pytest.mark.parametrize("margin", [0.1, 0.8])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_on_all_modalities(margin, gather):
    loss = ModalityTripletLoss(margin=margin, gather=gather)
    rows, target, modality = torch.cat(list(codes().values())), TARGET.repeat(3), torch.arange(18) // 6
    expected = modality_triplet_loss(rows, target, modality, margin=margin)
    torch.testing.assert_close(loss(codes(), TARGET), expected)
    torch.testing.assert_close(loss(dict(reversed(codes().items())), TARGET), expected)
    mask = torch.tensor([True, False, True, True, True, False])
    masked = modality_triplet_loss(
        rows, target, modality, margin=margin, mask=torch.cat((torch.ones(6).bool(), mask, torch.ones(6).bool()))
    )
    assert not torch.isclose(masked, expected)
    torch.testing.assert_close(loss(codes(), TARGET, {"audio": mask}), masked)
    assert f"margin={margin}" in repr(loss)


X = torch.rand(6, 4)


@pytest.mark.parametrize(
    ("exception", "words", "arguments"),
    [
        (ModalityError, ("at least 2", "['a']"), ({"a": X}, TARGET)),
        (ModalityError, ("masks names the modality 'c'",), ({"a": X, "b": X}, TARGET, {"c": torch.ones(6).bool()})),
        (ShapeError, ("4 features", "got 2"), ({"a": X, "b": X[:, :2]}, TARGET)),
        (ShapeError, ("codes['b']", "6 entries of target", "got 5"), ({"a": X, "b": X[:5]}, TARGET)),
        (ShapeError, ("target must have shape", "[B]"), ({"a": X, "b": X}, TARGET.unsqueeze(1))),
        (DtypeError, ("target must be a torch.Tensor", "list"), ({"a": X, "b": X}, [0] * 6)),
    ],
)
@pytest.mark.bad_input
def test_bad_input(exception, words, arguments):
    with expect.error(exception, "ModalityTripletLoss: ", *words):
        ModalityTripletLoss()(*arguments)


@pytest.mark.bad_input
def test_bad_margin():
    with expect.error(SettingError, "ModalityTripletLoss: ", "margin", "-0.1"):
        ModalityTripletLoss(margin=-0.1)

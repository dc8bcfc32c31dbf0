import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.functional import info_nce
from mmdisentangle.nn import InfoNCELoss
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds

SETTINGS = [{}, {"negatives": "both"}, {"critic": "dot", "temperature": 2.0}, {"symmetric": False, "reduction": "sum"}]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(settings, gather):
    x, y, mask = normal(0, 5, 3), normal(1, 5, 3), torch.tensor([True, False, True, True, False])
    loss = InfoNCELoss(**settings, gather=gather)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), info_nce(x, y, mask=m, **settings))


def test_the_bilinear_critic_learns_its_weight():
    """Codes of different widths that a turn and a projection make alike."""
    loss = InfoNCELoss(critic="bilinear", features=(4, 3), temperature=1.0)
    x = torch.randn(64, 4)
    y = x @ torch.linalg.qr(torch.randn(4, 4)).Q[:, :3]
    torch.testing.assert_close(loss(x, y), info_nce(x, y, critic="bilinear", weight=loss.weight, temperature=1.0))
    optimizer = torch.optim.Adam(loss.parameters(), 0.1)
    assert loss(x, y) > math.log(64)
    for _ in range(50):
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    assert loss(x, y) < math.log(64) - 1


def test_information():
    x, y, mask = normal(0, 6, 3), normal(1, 6, 3), torch.arange(6) < 4
    loss = InfoNCELoss(reduction="sum")
    torch.testing.assert_close(loss.information(x, y), math.log(6) - info_nce(x, y))
    torch.testing.assert_close(loss.information(x, y, mask), math.log(4) - info_nce(x, y, mask=mask))
    assert loss.information(x, y, mask & False) == 0
    assert loss.information(x[:1], y[:1]) == 0


@given(seeds, st.integers(2, 4), st.integers(0, 5), st.booleans())
def test_pairs_are_averaged(seed, modalities, samples, masked):
    """A slow loop over pairs that leaves out those with fewer than two samples in common."""
    codes = {f"m{i}": normal(seed + i, samples, 3) for i in range(modalities)}
    masks = {name: coin(seed + i, samples, heads=0.7) for i, name in enumerate(codes) if i != 1} if masked else None
    full = torch.ones(samples, dtype=torch.bool)
    expected = []
    for one, other in combinations(codes, 2):
        both = (masks or {}).get(one, full) & (masks or {}).get(other, full)
        if both.sum() >= 2:
            expected.append(info_nce(codes[one][both], codes[other][both]))
    loss = InfoNCELoss().pairwise(codes, masks)
    torch.testing.assert_close(loss, sum(expected) / len(expected) if expected else torch.zeros_like(loss))


def test_repr():
    settings = "temperature=0.1, critic='cosine', negatives='other', symmetric=True, reduction='mean', gather=False"
    assert settings in repr(InfoNCELoss())


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("temperature", "0 <"), {"temperature": 0}),
        (("critic", "'euclid'"), {"critic": "euclid"}),
        (("critic='bilinear' and features belong together",), {"critic": "bilinear"}),
        (("belong together", "'dot'"), {"critic": "dot", "features": (3, 3)}),
        (("features must be two widths", "(3,)"), {"critic": "bilinear", "features": (3,)}),
        (("features[1]", "0"), {"critic": "bilinear", "features": (3, 0)}),
        (("negatives='other'",), {"critic": "bilinear", "features": (3, 3), "negatives": "both"}),
        (("gather=True", "'none'"), {"gather": True, "reduction": "none"}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "InfoNCELoss: ", *words):
        InfoNCELoss(**settings)


@pytest.mark.bad_input
def test_no_information_from_both():
    x = torch.rand(4, 3)
    with expect.error(SettingError, "InfoNCELoss.information: negatives='both' bounds no information"):
        InfoNCELoss(negatives="both").information(x, x)


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "settings", "codes", "masks"),
    [
        (ModalityError, ("at least 2", "['a']"), {}, {"a": X}, None),
        (DtypeError, ("codes['a']", "list"), {}, {"a": [[1.0]], "b": X}, None),
        (DtypeError, ("codes must be a mapping", "Tensor"), {}, X, None),
        (ModalityError, ("masks names the modality 'c'",), {}, {"a": X, "b": X}, {"c": torch.ones(4).bool()}),
        (ShapeError, ("masks['a']", "[4]", "[3]"), {}, {"a": X, "b": X}, {"a": torch.ones(3).bool()}),
        (SettingError, ("a reduction", "'none'"), {"reduction": "none"}, {"a": X, "b": X}, None),
        (SettingError, ("'bilinear'",), {"critic": "bilinear", "features": (3, 3)}, {"a": X, "b": X}, None),
    ],
)
@pytest.mark.bad_input
def test_bad_pairs(exception, words, settings, codes, masks):
    with expect.error(exception, "InfoNCELoss.pairwise: ", *words):
        InfoNCELoss(**settings).pairwise(codes, masks)

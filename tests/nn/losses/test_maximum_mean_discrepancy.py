from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import ModalityError, SettingError
from mmdisentangle.functional import coral, gaussian_wasserstein, maximum_mean_discrepancy
from mmdisentangle.nn import CORALLoss, GaussianWassersteinLoss, MaximumMeanDiscrepancy
from tests.oracles import expect
from tests.oracles.draws import coin, seeds, uniform

SETTINGS = [{}, {"unbiased": False}, {"bandwidths": (0.5, 1.0)}]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(settings, gather):
    x, y, mask = uniform(0, 5, 3), uniform(1, 5, 3), torch.tensor([True, False, True, True, False])
    loss = MaximumMeanDiscrepancy(**settings, gather=gather)
    for m in (None, mask, (mask, None)):
        torch.testing.assert_close(loss(x, y, m), maximum_mean_discrepancy(x, y, mask=m, **settings))
    for name, value in settings.items():
        assert f"{name}={value!r}" in repr(loss)


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (MaximumMeanDiscrepancy(), maximum_mean_discrepancy),
        (CORALLoss(), coral),
        (GaussianWassersteinLoss(), gaussian_wasserstein),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
@given(seed=seeds, modalities=st.integers(2, 4), samples=st.integers(0, 5), masked=st.booleans())
def test_pairs_are_averaged(loss, function, seed, modalities, samples, masked):
    """A slow loop over pairs that leaves out those without two samples of both."""
    codes = {f"m{i}": uniform(seed + i, samples, 3) for i in range(modalities)}
    masks = {name: coin(seed + i, samples, heads=0.6) for i, name in enumerate(codes)} if masked else None
    expected = []
    for one, other in combinations(codes, 2):
        kept = [codes[name][masks[name]] if masked else codes[name] for name in (one, other)]
        if min(len(part) for part in kept) >= 2:
            expected.append(function(*kept))
    result = loss.pairwise(codes, masks)
    torch.testing.assert_close(result, sum(expected) / len(expected) if expected else torch.zeros_like(result))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("every bandwidth", "-1"), {"bandwidths": (-1,)}),
        (("sequence of positive numbers", "2.0"), {"bandwidths": 2.0}),
        (("unbiased", "True or False"), {"unbiased": 1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "MaximumMeanDiscrepancy: ", *words):
        MaximumMeanDiscrepancy(**settings)


@pytest.mark.bad_input
def test_bad_pairs():
    x = torch.rand(4, 3)
    with expect.error(ModalityError, "MaximumMeanDiscrepancy.pairwise: ", "at least 2"):
        MaximumMeanDiscrepancy().pairwise({"a": x})
    with expect.error(ModalityError, "MaximumMeanDiscrepancy.pairwise: ", "'c'"):
        MaximumMeanDiscrepancy().pairwise({"a": x, "b": x}, {"c": torch.ones(4).bool()})

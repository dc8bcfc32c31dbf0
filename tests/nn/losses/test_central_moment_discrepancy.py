from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.functional import central_moment_discrepancy
from mmdisentangle.nn import CentralMomentDiscrepancy
from tests.oracles import expect
from tests.oracles.draws import coin, seeds, uniform

SETTINGS = [{}, {"num_moments": 2}, {"bounds": (-1.0, 1.0)}, {"min_samples": 4}]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(settings, gather):
    x, y, mask = uniform(0, 5, 3), uniform(1, 5, 3), torch.tensor([True, False, True, True, False])
    loss = CentralMomentDiscrepancy(**settings, gather=gather)
    for m in (None, mask, (mask, None)):
        torch.testing.assert_close(loss(x, y, m), central_moment_discrepancy(x, y, mask=m, **settings))


@given(seeds, st.integers(2, 4), st.integers(0, 5), st.integers(1, 3), st.booleans())
def test_pairs_are_averaged(seed, modalities, samples, least, masked):
    """A slow loop over pairs that leaves out those without enough samples."""
    codes = {f"m{i}": uniform(seed + i, samples, 3) for i in range(modalities)}
    masks = {name: coin(seed + i, samples, heads=0.6) for i, name in enumerate(codes)} if masked else None
    expected = []
    for one, other in combinations(codes, 2):
        kept = [codes[name][masks[name]] if masked else codes[name] for name in (one, other)]
        if min(len(part) for part in kept) >= least:
            expected.append(central_moment_discrepancy(*kept, min_samples=least))
    loss = CentralMomentDiscrepancy(min_samples=least).pairwise(codes, masks)
    torch.testing.assert_close(loss, sum(expected) / len(expected) if expected else torch.zeros_like(loss))


def test_names_do_not_matter():
    codes = {name: uniform(i, 6, 3) for i, name in enumerate("abc")}
    loss = CentralMomentDiscrepancy()
    torch.testing.assert_close(loss.pairwise(dict(reversed(codes.items()))), loss.pairwise(codes))


def test_an_absent_mask_is_all_real():
    codes = {name: uniform(i, 6, 3) for i, name in enumerate("abc")}
    mask = torch.ones(6, dtype=torch.bool)
    loss = CentralMomentDiscrepancy()
    torch.testing.assert_close(loss.pairwise(codes, {"b": mask}), loss.pairwise(codes))


def test_repr():
    assert "num_moments=5, bounds=(0.0, 1.0)" in repr(CentralMomentDiscrepancy())


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("num_moments", "0"), {"num_moments": 0}),
        (("min_samples", "1.5"), {"min_samples": 1.5}),
        (("bound", "(1.0, 0.0)"), {"bounds": (1.0, 0.0)}),
        (("bound", "0.5"), {"bounds": 0.5}),
        (("bound", "inf"), {"bounds": (0.0, float("inf"))}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "CentralMomentDiscrepancy: ", *words):
        CentralMomentDiscrepancy(**settings)


X = torch.rand(4, 3)


@pytest.mark.parametrize(
    ("exception", "words", "codes", "masks"),
    [
        (ModalityError, ("at least 2", "['a']"), {"a": X}, None),
        (ShapeError, ("3 features", "got 2"), {"a": X, "b": X[:, :2]}, None),
        (DtypeError, ("codes['a']", "list"), {"a": [[1.0]], "b": X}, None),
        (ModalityError, ("masks names the modality 'c'",), {"a": X, "b": X}, {"c": torch.ones(4).bool()}),
        (DtypeError, ("codes must be a mapping", "Tensor"), X, None),
    ],
)
@pytest.mark.bad_input
def test_bad_pairs(exception, words, codes, masks):
    with expect.error(exception, "CentralMomentDiscrepancy.pairwise: ", *words):
        CentralMomentDiscrepancy().pairwise(codes, masks)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle._core.reduction import REDUCTIONS, check_reduction, reduce_terms
from mmdisentangle.errors import SettingError
from tests.oracles import expect
from tests.oracles.draws import coin, normal, seeds


@given(seeds, st.integers(0, 4), st.integers(0, 4))
def test_reductions_are_those_of_the_valid_terms(seed, rows, columns):
    valid = coin(seed, rows, columns)
    terms = torch.where(valid, normal(seed, rows, columns), 0.0)
    kept = terms[valid].tolist()
    assert reduce_terms(terms, valid, "none") is terms
    assert reduce_terms(terms, valid, "sum").item() == pytest.approx(sum(kept), abs=1e-12)
    assert reduce_terms(terms, valid, "mean").item() == pytest.approx(sum(kept) / max(len(kept), 1), abs=1e-12)


def test_everything_is_valid_without_a_mask():
    terms = torch.tensor([1.0, 2.0, 6.0])
    assert reduce_terms(terms, None, "mean") == 3
    assert reduce_terms(terms, None, "sum") == 9


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_empty_set_is_a_zero_that_backpropagates(reduction, masked):
    terms = torch.zeros(0 if not masked else 3, requires_grad=True)
    valid = torch.zeros(3, dtype=torch.bool) if masked else None
    loss = reduce_terms(terms, valid, reduction)
    loss.backward()
    assert loss == 0
    assert torch.isfinite(terms.grad).all()


@pytest.mark.bad_input
def test_unknown_reduction():
    for reduction in REDUCTIONS:
        check_reduction("f", reduction)
    with expect.error(SettingError, "f: reduction", "'none', 'mean', 'sum'", "'avg'"):
        check_reduction("f", "avg")

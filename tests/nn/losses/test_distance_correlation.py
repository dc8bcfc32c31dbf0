import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import distance_correlation
from mmdisentangle.nn import DistanceCorrelationLoss
from tests.oracles import expect
from tests.oracles.draws import normal


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(unbiased, gather):
    x, y, mask = normal(0, 7, 3), normal(1, 7, 4), torch.tensor([True] * 5 + [False] * 2)
    loss = DistanceCorrelationLoss(unbiased=unbiased, gather=gather)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), distance_correlation(x, y, mask=m, unbiased=unbiased))
    assert f"unbiased={unbiased}" in repr(loss)


@pytest.mark.bad_input
def test_bad_settings():
    with expect.error(SettingError, "DistanceCorrelationLoss: ", "unbiased", "True or False", "'no'"):
        DistanceCorrelationLoss(unbiased="no")

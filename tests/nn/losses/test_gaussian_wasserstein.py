import pytest
import torch

from mmdisentangle.errors import SettingError, ShapeError
from mmdisentangle.functional import gaussian_wasserstein
from mmdisentangle.nn import GaussianWassersteinLoss
from tests.oracles import expect
from tests.oracles.draws import uniform


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(diagonal, gather):
    x, y, mask = uniform(0, 5, 3), uniform(1, 5, 3), torch.tensor([True, False, True, True, False])
    loss = GaussianWassersteinLoss(diagonal=diagonal, gather=gather)
    for m in (None, mask, (mask, None)):
        torch.testing.assert_close(loss(x, y, m), gaussian_wasserstein(x, y, mask=m, diagonal=diagonal))
    assert f"diagonal={diagonal}" in repr(loss)


@pytest.mark.bad_input
def test_bad_input():
    with expect.error(SettingError, "GaussianWassersteinLoss: ", "diagonal", "1"):
        GaussianWassersteinLoss(diagonal=1)
    with expect.error(ShapeError, "GaussianWassersteinLoss.pairwise: ", "3 features", "got 2"):
        GaussianWassersteinLoss().pairwise({"a": torch.rand(4, 3), "b": torch.rand(4, 2)})

import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import barlow_twins
from mmdisentangle.nn import BarlowTwinsLoss
from tests.oracles import expect


@pytest.mark.parametrize("redundancy_weight", [0.005, 1.0])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(redundancy_weight, gather):
    x, y, mask = torch.randn(6, 3), torch.randn(6, 3), torch.tensor([True] * 4 + [False] * 2)
    loss = BarlowTwinsLoss(redundancy_weight=redundancy_weight, gather=gather)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), barlow_twins(x, y, redundancy_weight=redundancy_weight, mask=m))
    assert f"redundancy_weight={redundancy_weight}, gather={gather}" in repr(loss)


@pytest.mark.bad_input
def test_bad_weight():
    with expect.error(SettingError, "BarlowTwinsLoss: redundancy_weight", "-1"):
        BarlowTwinsLoss(redundancy_weight=-1.0)

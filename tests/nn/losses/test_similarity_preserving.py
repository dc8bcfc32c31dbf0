import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import similarity_preserving
from mmdisentangle.nn import SimilarityPreservingLoss
from tests.oracles import expect


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(published, gather):
    x, y, mask = torch.randn(6, 3), torch.randn(6, 4), torch.tensor([True] * 4 + [False] * 2)
    loss = SimilarityPreservingLoss(published=published, gather=gather)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), similarity_preserving(x, y, published=published, mask=m))
    assert f"published={published}, gather={gather}" in repr(loss)


@pytest.mark.bad_input
def test_bad_flag():
    with expect.error(SettingError, "SimilarityPreservingLoss: published", "True or False"):
        SimilarityPreservingLoss(published=None)

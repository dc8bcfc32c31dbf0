import pytest
import torch

from mmdisentangle.errors import ShapeError
from mmdisentangle.functional import coral
from mmdisentangle.nn import CORALLoss
from tests.oracles import expect
from tests.oracles.draws import uniform


@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function(gather):
    x, y, mask = uniform(0, 5, 3), uniform(1, 5, 3), torch.tensor([True, False, True, True, False])
    loss = CORALLoss(gather=gather)
    for m in (None, mask, (mask, None)):
        torch.testing.assert_close(loss(x, y, m), coral(x, y, mask=m))
    assert f"gather={gather}" in repr(loss)


@pytest.mark.bad_input
def test_bad_pairs():
    with expect.error(ShapeError, "CORALLoss.pairwise: ", "3 features", "got 2"):
        CORALLoss().pairwise({"a": torch.rand(4, 3), "b": torch.rand(4, 2)})

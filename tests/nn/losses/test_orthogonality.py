import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import orthogonality
from mmdisentangle.nn import OrthogonalityLoss
from tests.oracles import expect


@pytest.mark.parametrize("form", ["rows", "correlation"])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(form, gather):
    x, y, mask = torch.randn(6, 3), torch.randn(6, 4), torch.tensor([True] * 4 + [False] * 2)
    loss = OrthogonalityLoss(form=form, gather=gather)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), orthogonality(x, y, form=form, mask=m))
    assert f"form={form!r}" in repr(loss)


@pytest.mark.bad_input
def test_bad_form():
    with expect.error(SettingError, "OrthogonalityLoss: form", "'columns'"):
        OrthogonalityLoss(form="columns")

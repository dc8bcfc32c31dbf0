import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import cka
from mmdisentangle.nn import CKALoss
from tests.oracles import expect


@pytest.mark.parametrize("settings", [{}, {"unbiased": True}, {"kernel": "rbf"}, {"kernel": "rbf", "bandwidth": 0.7}])
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(settings, gather):
    x, y, mask = torch.randn(6, 3), torch.randn(6, 4), torch.tensor([True] * 4 + [False] * 2)
    loss = CKALoss(gather=gather, **settings)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, y, m), cka(x, y, mask=m, **settings))
    for name, value in settings.items():
        assert f"{name}={value!r}" in repr(loss)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("kernel", "'gauss'"), {"kernel": "gauss"}),
        (("bandwidth belongs to kernel='rbf'",), {"bandwidth": 1.0}),
        (("unbiased", "True or False"), {"unbiased": 1}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "CKALoss: ", *words):
        CKALoss(**settings)

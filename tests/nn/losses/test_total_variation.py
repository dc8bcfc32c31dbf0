import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import total_variation
from mmdisentangle.nn import TotalVariationLoss
from tests.oracles import expect
from tests.oracles.draws import normal


@pytest.mark.parametrize("settings", [{}, {"order": 2}, {"reduction": "none"}, {"reduction": "sum"}])
def test_it_is_the_function_with_its_settings(settings):
    x, mask = normal(0, 2, 5, 3), torch.tensor([[True] * 5, [False, True, True, True, False]])
    loss = TotalVariationLoss(**settings)
    for m in (None, mask):
        torch.testing.assert_close(loss(x, m), total_variation(x, m, **settings))
    for name, value in settings.items():
        assert f"{name}={value!r}" in repr(loss)


def test_gather_on_one_process_changes_nothing():
    x, mask = normal(0, 2, 5, 3), torch.tensor([[True] * 5, [False, True, True, True, False]])
    for m in (None, mask):
        torch.testing.assert_close(TotalVariationLoss(gather=True, order=2)(x, m), total_variation(x, m, order=2))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("order", "at least 1", "0"), {"order": 0}),
        (("reduction", "'avg'"), {"reduction": "avg"}),
        (("gather=True needs reduction='mean'", "'sum'"), {"gather": True, "reduction": "sum"}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, *words):
        TotalVariationLoss(**settings)

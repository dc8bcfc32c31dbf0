import pytest
import torch

from mmdisentangle.errors import DtypeError, SettingError
from mmdisentangle.functional import temporal_invariance
from mmdisentangle.nn import TemporalInvariantLoss
from tests.oracles import expect


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"divergence": "kl"},
        {"divergence": "gaussian_w2", "aggregation": "batch"},
        {"aggregation": "batch", "gather": True},
        {"temperature": 0.3, "reduction": "none"},
        {"reduction": "sum"},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_function_with_its_settings(settings, masked):
    x, mask = torch.randn(3, 5, 4), torch.rand(3, 5) < 0.8 if masked else None
    options = {key: value for key, value in settings.items() if key != "gather"}
    torch.testing.assert_close(TemporalInvariantLoss(**settings)(x, mask), temporal_invariance(x, mask, **options))


def test_repr():
    settings = "divergence='js', aggregation='sample', temperature=1.0, reduction='mean', gather=False, impl='auto'"
    assert settings in repr(TemporalInvariantLoss())


def test_impl_reaches_the_function():
    loss = TemporalInvariantLoss(impl="fused")
    with expect.error(DtypeError, "temporal_invariance: ", "impl='fused'", "float64"):
        loss(torch.randn(1, 2, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("divergence", "'jsd'"), {"divergence": "jsd"}),
        (("aggregation", "'time'"), {"aggregation": "time"}),
        (("temperature", "-1"), {"temperature": -1}),
        (("reduction", "'avg'"), {"reduction": "avg"}),
        (("gather", "reduction='mean'", "'sum'"), {"gather": True, "reduction": "sum"}),
        (("impl", "'fast'", "'fused'"), {"impl": "fast"}),
        (("impl='fused'", "'kl'"), {"impl": "fused", "divergence": "kl"}),
        (("impl='fused'", "'batch'"), {"impl": "fused", "aggregation": "batch"}),
    ],
)
@pytest.mark.bad_input
def test_bad_settings(words, settings):
    with expect.error(SettingError, "TemporalInvariantLoss: ", *words):
        TemporalInvariantLoss(**settings)

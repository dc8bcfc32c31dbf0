import pytest
import torch

from mmdisentangle.errors import SettingError
from mmdisentangle.functional import vicreg
from mmdisentangle.nn import VICRegLoss
from tests.oracles import expect

SETTINGS = [
    {},
    {"invariance_weight": 2.0, "deviation": 3.0},
    {"variance_weight": 0.5},
    {"covariance_weight": 4.0},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gather", [False, True])
def test_it_is_the_function_with_its_settings(settings, gather):
    x, y, mask = torch.randn(6, 3), torch.randn(6, 3), torch.tensor([True] * 4 + [False] * 2)
    loss = VICRegLoss(gather=gather, **settings)
    for m in (None, mask):
        for found, expected in zip(loss(x, y, m), vicreg(x, y, mask=m, **settings), strict=True):
            torch.testing.assert_close(found, expected)
    for name, value in settings.items():
        assert f"{name}={value}" in repr(loss)


@pytest.mark.parametrize("name", ["invariance_weight", "variance_weight", "covariance_weight", "deviation"])
@pytest.mark.bad_input
def test_bad_settings(name):
    with expect.error(SettingError, f"VICRegLoss: {name}", "-1"):
        VICRegLoss(**{name: -1.0})


def test_codes_of_two_modalities_meet_without_collapse():
    """Two linear encoders of one latent variable: equal codes whose features vary and differ."""
    latent = torch.randn(512, 2)
    streams = [latent @ torch.randn(2, 5) for _ in range(2)]
    encoders = [torch.nn.Linear(5, 2) for _ in streams]
    loss = VICRegLoss()
    optimizer = torch.optim.Adam([p for encoder in encoders for p in encoder.parameters()], 0.02)
    for _ in range(300):
        optimizer.zero_grad()
        terms = loss(*(encoder(x) for encoder, x in zip(encoders, streams, strict=True)))
        terms.total.backward()
        optimizer.step()
    assert terms.invariance < 0.02
    assert terms.variance < 0.1
    assert terms.covariance < 0.1

"""Settings for long sequences: activation checkpointing of every model, and the window of MEA."""

import pytest
import torch
from torch import nn

from benchmarks._measure import peak_bytes
from mmdisentangle.errors import SettingError
from mmdisentangle.models import MEA, create_model, list_models
from tests.models.small_mea import SMALL, batch, build, masks_of
from tests.oracles import expect

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
SIZES = {
    "rtil": {"hidden_features": 16, "num_heads": 2},
    "mea": {"features": 16, "num_heads": 2, "hca_layers": 1, "window": 16},
    "misa": {"hidden_features": 16},
    "mult": {"features": 16, "num_heads": 2, "cross_layers": 1, "memory_layers": 1},
    "late_fusion": {"hidden_features": 16},
    "early_fusion": {"hidden_features": 16},
}
WHOLE_MAPS = {**SIZES["mea"], "window": None}


def step(name, frames, settings, *, masked=False, **options):
    """Model, and a callable that runs forward, objective and backward with dropout on, and returns all numbers."""
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1, **settings, **options).train()
    inputs = {modality: torch.randn(2, frames, width) for modality, width in WIDTHS.items()}
    masks = None
    if masked:
        masks = {modality: torch.rand(2, frames) < 0.8 for modality in WIDTHS}
        masks["audio"][0] = False

    def run():
        torch.manual_seed(1)
        model.zero_grad()
        output = model(inputs, masks)
        objective = model.objective(output, torch.ones(2, 1))
        objective.total.backward()
        return [output.prediction, *objective, *(p.grad for p in model.parameters())]

    return model, run


@pytest.mark.parametrize(
    ("name", "settings"),
    [*SIZES.items(), ("mea", WHOLE_MAPS), ("mea", {**SIZES["mea"], "temporal_encoder": "lstm"})],
    ids=[*SIZES, "mea-whole-maps", "mea-lstm"],
)
@pytest.mark.parametrize("masked", [False, True])
def test_checkpointing_changes_no_bit(name, settings, masked):
    plain, ours = (step(name, 20, settings, masked=masked, checkpoint_activations=flag)[1]() for flag in (False, True))
    for own, other in zip(ours, plain, strict=True):
        assert own is other is None or torch.equal(own, other)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("rtil", SIZES["rtil"], 2),
        ("mea", SIZES["mea"], 3),
        ("mea", WHOLE_MAPS, 2),
        ("misa", SIZES["misa"], 2),
        ("mult", {**SIZES["mult"], "cross_layers": 4, "memory_layers": 4}, 2),
        # Early fusion has one encoder, which its backward pass has to compute as a whole.
        ("late_fusion", SIZES["late_fusion"], 2),
    ],
    ids=["rtil", "mea", "mea-whole-maps", "misa", "mult", "late_fusion"],
)
def test_checkpointing_takes_less_memory(name, settings, least):
    frames = 200 if settings is WHOLE_MAPS else 600
    plain, ours = (peak_bytes(step(name, frames, settings, checkpoint_activations=flag)[1]) for flag in (False, True))
    assert plain > least * ours


@pytest.mark.parametrize("name", list_models())
def test_memory_is_linear_in_time(name):
    """Twice the frames, at most a little more than twice the memory: nobody makes a map of all pairs of frames."""
    short, long = (peak_bytes(step(name, frames, SIZES[name], masked=True)[1]) for frames in (600, 1200))
    assert long < 2.1 * short


@pytest.mark.parametrize("name", list_models())
def test_round_trip(name):
    model, _ = step(name, 1, SIZES[name], checkpoint_activations=True)
    again = type(model).from_config(model.config)
    assert again.settings == model.settings
    assert again.settings.checkpoint_activations


class Own(nn.Linear):
    runs = 0

    def forward(self, x, mask=None):
        self.runs += 1
        return super().forward(x)


@pytest.mark.parametrize("name", list_models())
def test_encoders_of_the_users_own_run_once(name):
    own = Own(6, 16)
    _, run = step(name, 5, SIZES[name], encoders={"text": own}, checkpoint_activations=True)
    run()
    assert own.runs == 1


@pytest.mark.compile
@pytest.mark.timeout(900)
def test_checkpointing_compiles():
    """RTIL whole; the layers of MEA compile with their checkpoints as contract cases."""
    model, _ = step(
        "rtil", 1, {**SIZES["rtil"], "hidden_features": 8, "encoder_blocks": 1}, checkpoint_activations=True
    )
    model.eval()

    def total(inputs):
        return model.objective(model(inputs), torch.ones(2, 1)).total

    compiled = torch.compile(total, backend="aot_eager", fullgraph=True, dynamic=True)
    for frames in (9, 14):
        inputs = {modality: torch.randn(2, frames, width) for modality, width in WIDTHS.items()}
        parameters = list(model.codes.parameters())
        found, expected = (torch.autograd.grad(call(inputs), parameters) for call in (compiled, total))
        for own, other in zip(found, expected, strict=True):
            torch.testing.assert_close(own, other)


def test_window_of_mea():
    inputs = batch()
    masks = masks_of(inputs)
    whole, wide, narrow = (build(window=window) for window in (None, 8, 1))
    narrow.load_state_dict(whole.state_dict())
    wide.load_state_dict(whole.state_dict())
    expected = whole(inputs, masks)
    for name, code in wide(inputs, masks).private.items():
        torch.testing.assert_close(code, expected.private[name])
    output = narrow(inputs, masks)
    for name, code in output.private.items():
        assert not torch.allclose(code, expected.private[name], atol=1e-6)
        torch.testing.assert_close(output.shared[name], expected.shared[name])


def test_presets_have_no_window():
    for preset in ("mosi", "mosei", "iemocap"):
        settings = MEA(WIDTHS, preset=preset).settings
        assert settings.window is None
        assert not settings.checkpoint_activations


@pytest.mark.bad_input
def test_bad_settings():
    for name in list_models():
        with expect.error(SettingError, ": checkpoint_activations must be True or False", "1"):
            create_model(name, modalities=WIDTHS, checkpoint_activations=1)
    for psa_layers in (0, 2):
        with expect.error(SettingError, "MEA: window must be an integer of at least 0", "-1"):
            MEA(WIDTHS, **SMALL, psa_layers=psa_layers, window=-1)

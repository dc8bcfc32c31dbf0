"""The inference path as an exported program and as an ONNX file: the same numbers at every size."""

import pytest
import torch
from torch import nn

from mmdisentangle.errors import DtypeError, MissingExtraError, SettingError
from mmdisentangle.models import create_model, export_onnx, export_program, list_models
from tests.oracles import expect

WIDTHS = {"text": 5, "left.ear": 3}
SETTINGS = {
    "rtil": {"hidden_features": 8, "encoder_blocks": 1, "feedforward_features": 8},
    "mea": {
        "features": 8,
        "hidden_features": 6,
        "num_heads": 2,
        "encoder_blocks": 1,
        "feedforward_features": 8,
        "psa_layers": 2,
        "hca_layers": 1,
        "fine": False,
    },
    "misa": {"hidden_features": 8, "encoder_blocks": 1},
    "mult": {"features": 4, "num_heads": 2, "cross_layers": 1, "memory_layers": 1},
    "late_fusion": {"hidden_features": 8, "encoder_blocks": 1},
    "early_fusion": {"hidden_features": 8, "encoder_blocks": 1},
}
# Batch size and lengths: others than the example's, each stream the longer one, a single sample, a single frame.
SIZES = ((4, (9, 3)), (3, (4, 30)), (1, (6, 6)), (2, (1, 1)))
SLOW = [pytest.mark.compile, pytest.mark.slow, pytest.mark.timeout(900)]


def build(name, **settings):
    torch.manual_seed(0)
    return create_model(name, modalities=WIDTHS, num_outputs=2, **{**SETTINGS[name], **settings})


def batches():
    """Inputs and masks of every size; in the larger batches a sample lacks a modality, and one of them all."""
    generator = torch.Generator().manual_seed(1)
    for size, lengths in SIZES:
        inputs = {
            name: torch.randn(size, length, width, generator=generator)
            for (name, width), length in zip(WIDTHS.items(), lengths, strict=True)
        }
        masks = {name: torch.rand(x.shape[:2], generator=generator) < 0.7 for name, x in inputs.items()}
        if size > 2:
            masks["text"][0] = False
            masks["left.ear"][1] = False
            masks["text"][2] = masks["left.ear"][2] = False
        yield inputs, masks


class TestModels:
    pytestmark = SLOW

    @pytest.mark.parametrize("name", list_models())
    def test_the_same_numbers(self, name, tmp_path):
        if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9):
            pytest.skip("the ONNX exporter of this torch cannot convert integer arithmetic (seen in 2.6)")
        onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        model = build(name).train()
        program = export_program(model)
        path = export_onnx(model, tmp_path / "model.onnx")
        assert model.training
        assert all(part.training for part in model.modules())
        model.eval()
        torch.export.save(program, tmp_path / "model.pt2")
        # Of early fusion, torch notes a guard against one sample of one frame, which its numbers do not need.
        unguarded = {"check_guards": False} if name == "early_fusion" else {}
        again = torch.export.load(tmp_path / "model.pt2").module(**unguarded)
        session = onnxruntime.InferenceSession(path)
        assert [entry.name for entry in session.get_inputs()] == ["text", "left.ear", "text_mask", "left.ear_mask"]
        assert [entry.name for entry in session.get_outputs()] == ["prediction"]
        for inputs, masks in batches():
            expected = model(inputs, masks).prediction.detach()
            torch.testing.assert_close(again(inputs, masks), expected, rtol=1e-4, atol=1e-5)
            feed = {name: x.numpy() for name, x in inputs.items()}
            feed |= {f"{name}_mask": mask.numpy() for name, mask in masks.items()}
            found = torch.from_numpy(session.run(["prediction"], feed)[0])
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.bad_input
@pytest.mark.parametrize("export", [export_program, lambda model: export_onnx(model, "nowhere.onnx")])
def test_what_cannot_be_exported(export):
    with expect.error(SettingError, "MISA has an LSTM (encoders.text.first.forwards)", "temporal_encoder='conv'"):
        export(build("misa", temporal_encoder="lstm"))
    with expect.error(SettingError, "MEA has an LSTM", "temporal_encoder='conv'"):
        export(build("mea", temporal_encoder="lstm"))
    published = create_model("rtil", modalities={"a": 4, "b": 2, "c": 3}, published=True, hidden_features=8)
    with expect.error(SettingError, "RTIL with honour_masks=False"):
        export(published)
    with expect.error(DtypeError, "model of the zoo", "Linear"):
        export(nn.Linear(2, 2))


@pytest.mark.bad_input
@pytest.mark.parametrize("names", [("a", "a_mask"), ("a", "prediction")])
def test_names_that_collide(names, tmp_path):
    model = create_model("late_fusion", modalities=dict.fromkeys(names, 2))
    with expect.error(SettingError, "export_onnx: ", repr(names[1]), "distinct"):
        export_onnx(model, tmp_path / "model.onnx")


@pytest.mark.bad_input
def test_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with expect.error(MissingExtraError, "mmdisentangle[onnx]"):
        export_onnx(build("late_fusion"), tmp_path / "model.onnx")

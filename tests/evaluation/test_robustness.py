import json
import math
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from mmdisentangle import create_model
from mmdisentangle.data import MultimodalDataset, load_shards, write_shards
from mmdisentangle.errors import DataError, SettingError
from mmdisentangle.evaluation import robustness_curve
from mmdisentangle.training.commands import app


class Output(NamedTuple):
    prediction: Tensor


class ReadsOff(nn.Module):
    """Answers with the first frame of ``a``, and with 0 where that is missing; ``b`` is nothing to it."""

    def forward(self, inputs, masks, *, present):
        a = inputs["a"]
        first = a[:, 0] if a.shape[1] else a.new_zeros(len(a), 1)
        return Output(torch.where(present["a"].unsqueeze(-1), first, 0.0))


@pytest.fixture
def data():
    target = torch.linspace(-3, 5, 41)
    inputs = {"a": target.reshape(-1, 1, 1).expand(-1, 3, 1), "b": torch.zeros(41, 2, 1)}
    return MultimodalDataset.from_arrays(inputs, target, name="line")


def test_closed_form_of_a_model_that_reads_one_modality(data):
    curve = robustness_curve(ReadsOff(), data, drop_rates=(0, 0.5, 1), noise_levels=(0, 1), repeats=40)
    mean = float(data.targets.abs().mean())
    dropped = {point.level: point for point in curve.curve("drop", "a")}
    assert dropped[0].mean["mae"] == 0
    assert dropped[1].mean["mae"] == pytest.approx(mean)
    assert dropped[1].draws == 1
    assert dropped[0.5].mean["mae"] == pytest.approx(mean / 2, rel=0.05)
    assert dropped[0.5].missing == pytest.approx(0.25, rel=0.05)
    assert all(point.mean["mae"] == 0 for point in curve.curve("drop", "b"))
    # One of the two stays: at a rate of 1 that is a for half of the samples.
    last = curve.curve("drop", "*")[-1]
    assert last.missing == pytest.approx(0.5)
    assert last.mean["mae"] == pytest.approx(mean / 2, rel=0.05)
    assert last.draws == 40
    # E|N(0, 1)|
    assert curve.curve("noise", "a")[1].mean["mae"] == pytest.approx(math.sqrt(2 / math.pi), rel=0.05)
    assert curve.curve("noise", "b")[1].mean["mae"] == 0
    assert curve.constant["mae"] == pytest.approx(float((data.targets - data.targets.median()).abs().mean()))


def test_curve_is_reproducible_paired_and_leaves_the_data_alone(data):
    before = [sample.inputs["a"].clone() for sample in data]
    settings = {"drop_rates": (0.3, 0.6), "noise_levels": (), "repeats": 2}
    first, second = (robustness_curve(ReadsOff(), data, **settings) for _ in range(2))
    assert first == second
    assert first != robustness_curve(ReadsOff(), data, **settings, seed=1)
    # The points of a curve do not depend on which other levels are asked for.
    alone = robustness_curve(ReadsOff(), data, drop_rates=(0.6,), noise_levels=(), repeats=2)
    assert alone.curve("drop", "a") == first.curve("drop", "a")[1:]
    assert all(torch.equal(x, sample.inputs["a"]) for x, sample in zip(before, data, strict=True))


def test_data_on_disk_are_judged_like_those_in_memory(data, tmp_path):
    write_shards(tmp_path / "shards", {"test": data}, samples_per_shard=10)
    settings = {"drop_rates": (0, 0.5), "noise_levels": (0, 1), "repeats": 2}
    assert robustness_curve(ReadsOff(), load_shards(tmp_path / "shards", "test"), **settings) == robustness_curve(
        ReadsOff(), data, **settings
    )


def test_area_is_the_mean_over_the_levels(data):
    curve = robustness_curve(ReadsOff(), data, drop_rates=(0, 1), noise_levels=(0,), repeats=1)
    assert curve.area("drop", "a", "mae") == pytest.approx(float(data.targets.abs().mean()) / 2)
    assert curve.area("noise", "a", "mae") == 0


def test_files(data, tmp_path):
    curve = robustness_curve(ReadsOff(), data, drop_rates=(0, 0.5, 1), noise_levels=(0, 1), metrics=["mosi"])
    curve.write(tmp_path / "out", title="reads off")
    content = json.loads((tmp_path / "out/robustness.json").read_text())
    assert len(content["points"]) == len(curve.points)
    assert content["points"][0]["mean"]["mae"] == 0
    table = (tmp_path / "out/robustness.md").read_text()
    assert "### mae against probability that it is missing" in table
    assert "| modality | 0 | 0.5 | 1 | mean over levels |" in table
    # Without a, every answer is 0 and has no correlation.
    assert "undefined" in table
    with Image.open(tmp_path / "out/robustness.png") as picture:
        # Three scores side by side, two kinds of damage.
        assert picture.width > picture.height > 700


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop_rates": (0.5, 0.1)}, "drop_rates must rise"),
        ({"drop_rates": (1.5,)}, "drop_rates must be"),
        ({"noise_levels": (-1.0,)}, "noise_levels must be"),
        ({"drop_rates": (), "noise_levels": ()}, "both are empty"),
    ],
)
def test_wrong_levels(data, settings, message):
    with pytest.raises(SettingError, match=message):
        robustness_curve(ReadsOff(), data, **settings)


def test_models_and_data_that_cannot_be_judged(data):
    published = create_model("rtil", modalities={"t": 8, "a": 8, "v": 8}, published=True, hidden_features=8)
    with pytest.raises(SettingError, match="honour_masks=False"):
        robustness_curve(published, data)
    unlabelled = MultimodalDataset.from_arrays({"a": torch.zeros(3, 2, 1)})
    with pytest.raises(DataError, match="one without a target"):
        robustness_curve(ReadsOff(), unlabelled)


def test_command_on_a_run(tmp_path):
    runner, run = CliRunner(), str(tmp_path / "run")
    settings = ["training.max_epochs=1", "training.accelerator=cpu", "model.hidden_features=8"]
    settings += ["data.drop_modalities.gyroscope=0.3", "data.noise={'*': 0.1}"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    trained = runner.invoke(app, ["train", "rtil", "--data", "basic-motions", "--out", run, *chosen])
    assert trained.exit_code == 0, trained.output
    done = runner.invoke(app, ["robustness", run, "--drop", "0,.5", "--noise", "", "--repeats", "2"])
    assert done.exit_code == 0, done.output
    assert "every modality" in done.output
    assert {path.name for path in (tmp_path / "run/robustness").iterdir()} == {
        "robustness.json",
        "robustness.md",
        "robustness.png",
    }
    wrong = runner.invoke(app, ["robustness", run, "--drop", "a,b"])
    assert wrong.exit_code == 2
    assert "--drop must be numbers such as 0,.5,1" in wrong.output
    misspelt = runner.invoke(
        app,
        ["train", "rtil", "--data", "basic-motions", "--out", run + "2", "--set", "data.drop_modalities.gyroskope=.1"],
    )
    assert misspelt.exit_code == 2
    assert "did you mean 'gyroscope'" in misspelt.output

"""Every model of the zoo on two recordings, with the command `mmdisentangle compare` and its own rules.

    python -m benchmarks.comparison utd_mhad --data FOLDER/utd_mhad.npz --jobs 2
    python -m benchmarks.comparison mmmo --data FOLDER/mmmo.npz --jobs 2

The recordings are converted to shards once (in `--out`), then trained on with the same optimiser, batches and epochs
for all: no augmentation, no search of settings. A quarter to a fifth of the training samples (UTD-MHAD: one of four
people) chooses the epoch, the test samples are scored once. Interrupted runs go on where they stopped. Results are
written to `benchmarks/results`, the picture to `docs/_static/comparison`.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import mmmo_data, utd_mhad_data
from benchmarks._measure import RESULTS, write
from mmdisentangle.data import MultimodalDataset, load_splits, write_shards
from mmdisentangle.training import load_config
from mmdisentangle.training.comparison import compare

MODELS = ("rtil", "mea", "misa", "mult", "late_fusion", "early_fusion")
PICTURES = RESULTS.parents[1] / "docs" / "_static" / "comparison"
HIDDEN = {"utd_mhad": 64, "mmmo": 32}


def utd_mhad(file: Path) -> dict[str, MultimodalDataset]:
    """Clips of four people to train on, of four others to test on; features as in `benchmarks.utd_mhad`."""
    people = {"train": utd_mhad_data.TRAINING_SUBJECTS, "test": utd_mhad_data.TEST_SUBJECTS}
    clips = {split: utd_mhad_data.read_clips(file, subjects) for split, subjects in people.items()}
    statistics = utd_mhad_data.inertial_statistics(clips["train"])
    preparation = utd_mhad_data.Preparation([clip for part in clips.values() for clip in part], statistics)
    return {split: preparation.dataset(part, tuple(utd_mhad_data.MODALITIES)) for split, part in clips.items()}


def mmmo(file: Path) -> dict[str, MultimodalDataset]:
    """The 80 reviews with text to train on, 40 to test on; scaled as in `benchmarks.mmmo`."""
    training, scored = (mmmo_data.read_clips(file, part) for part in (mmmo_data.COMPLETE, mmmo_data.HELD_OUT))
    train, test = mmmo_data.prepare(training, scored, tuple(mmmo_data.MODALITIES))
    return {"train": train, "test": test}


@dataclass(frozen=True)
class Recording:
    """How a file becomes training and test samples, and the settings of every run."""

    read: Callable[[Path], dict[str, MultimodalDataset]]
    settings: tuple[str, ...]


RECORDINGS = {
    "utd_mhad": Recording(
        utd_mhad,
        (
            "data.batch_size=16",
            "data.standardize=none",
            "data.validation_fraction=0.25",
            "optim.lr=3e-3",
            "optim.weight_decay=0.05",
            "training.max_epochs=10",
            "training.accelerator=cpu",
            "model.label_smoothing=0.1",
        ),
    ),
    "mmmo": Recording(
        mmmo,
        (
            "data.batch_size=16",
            "data.standardize=none",
            "optim.weight_decay=0.05",
            "training.max_epochs=20",
            "training.accelerator=cpu",
        ),
    ),
}


def model_settings(model: str, hidden: int) -> list[str]:
    """Codes of the same width for all; attention as small as two processors allow, MEA's adversary as published."""
    if model == "mult":
        return [f"model.{key}={value}" for key, value in _small_mult(hidden).items()]
    settings = [f"model.hidden_features={hidden}"]
    if model == "rtil":
        settings.append(f"model.feedforward_features={4 * hidden}")
    if model == "mea":
        settings += ["model.num_heads=2", "model.feedforward_features=80", "model.hca_layers=1", "model.dropout=0.0"]
        # The paper's strength of 1 throughout; the weight of the adversarial terms is .03 anyway.
        settings.append("training.reversal.schedule=none")
    return settings


def _small_mult(features: int) -> dict[str, int]:
    return {
        "features": features,
        "num_heads": 4,
        "cross_layers": 2,
        "memory_layers": 1,
        "feedforward_features": 2 * features,
    }


def run(name: str, file: Path, seeds: int, jobs: int, out: Path, more: list[str], models: list[str]) -> None:
    """Convert, compare, and keep the results where everything was compared as it stands here."""
    recording = RECORDINGS[name]
    shards = out / name / "shards"
    if not shards.exists():
        write_shards(shards, recording.read(file))
    splits = load_splits(shards)
    common = [*recording.settings, *more]
    configs = {model: load_config(overrides=[*common, *model_settings(model, HIDDEN[name])]) for model in models}

    def report(model: str, seed: int, metrics: Mapping[str, Any]) -> None:
        scores = {part: next(iter(values.values())) for part, values in metrics["scores"].items()}
        cost = metrics["cost"]
        print(f"{model:12} seed {seed}: {scores}, epoch {metrics['epoch']}, {cost['seconds']:.0f} s", flush=True)

    comparison = compare(
        models,
        train=splits["train"],
        test=splits["test"],
        seeds=range(seeds),
        config=load_config(overrides=common),
        configs=configs,
        out=out / name / "runs",
        source=name,
        jobs=jobs,
        report=report,
    )
    print(comparison.to_markdown())
    if not more and tuple(models) == MODELS and seeds >= 5:
        settings = {"common": common, **{model: model_settings(model, HIDDEN[name]) for model in models}}
        write(f"comparison_{name}", {"jobs": jobs, "settings": settings, **comparison.to_json()})
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / name / "runs" / "comparison.png", PICTURES / f"{name}.png")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recording", choices=RECORDINGS)
    options.add_argument("--data", type=Path, required=True, help="the file of the recording")
    options.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    options.add_argument("--out", type=Path, default=Path("runs/comparison"))
    options.add_argument("--set", dest="settings", nargs="*", default=[], help="other settings; nothing is committed")
    arguments = options.parse_args()
    if not arguments.data.is_file():
        options.error(f"--data: {arguments.data} is no file; the recordings are not part of this project.")
    torch.set_num_threads(1)
    run(
        arguments.recording,
        arguments.data,
        arguments.seeds,
        arguments.jobs,
        arguments.out,
        arguments.settings,
        arguments.models,
    )


if __name__ == "__main__":
    main()

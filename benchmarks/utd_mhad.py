"""Accuracy on UTD-MHAD: 27 actions, three sensors of unequal rates and lengths, people never seen in training.

    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz                 # 6 rows x 5 seeds
    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz --quick         # 6 rows, 2 epochs each: does everything
    run? python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz --validate rtil adversarial_weight=0.1

Training subjects 1, 3, 5, 7, test subjects 2, 4, 6, 8. Every row has the same clips, features, augmentation, optimiser
and number of epochs; the weights are those of the last epoch, so nothing is selected on test subjects. `--validate`
trains on three of the training subjects and scores on the fourth; it is how the settings below were chosen, and it does
not read the test subjects at all. Finished runs are kept in `--cache`, so an interrupted benchmark goes on where it
stopped.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from benchmarks._measure import write
from benchmarks.baselines import LateFusion
from benchmarks.utd_mhad_data import (
    MODALITIES,
    TEST_SUBJECTS,
    TRAINING_SUBJECTS,
    Preparation,
    inertial_statistics,
    read_clips,
)
from mmdisentangle.models import RTIL
from mmdisentangle.training import fit, load_config

SETTINGS = [
    "data.batch_size=32",
    "data.standardize=none",
    "optim.lr=3e-3",
    "optim.weight_decay=0.05",
    "optim.warmup=0.15",
    "training.max_epochs=40",
    "training.selection=last",
    "training.accelerator=cpu",
]
HIDDEN = 64
SMOOTHING = 0.1
DROP_RATE = 0.1
ALL = tuple(MODALITIES)


def _rtil(**settings: Any) -> Callable[..., nn.Module]:
    return partial(RTIL, hidden_features=HIDDEN, label_smoothing=SMOOTHING, **settings)


def _late_fusion(**settings: Any) -> Callable[..., nn.Module]:
    return partial(LateFusion, hidden_features=HIDDEN, label_smoothing=SMOOTHING, **settings)


@dataclass(frozen=True)
class Row:
    """A model, its modalities, and what it needs that others do not."""

    model: Callable[..., nn.Module]
    modalities: tuple[str, ...] = ALL
    aligned: bool = False
    settings: tuple[str, ...] = ()


ROWS = {
    "rtil": Row(_rtil(feedforward_features=256)),
    # Streams are resampled to the skeleton's length; the reversal keeps the released strength of 1 throughout.
    "rtil_published": Row(_rtil(published=True), aligned=True, settings=("training.reversal.schedule=none",)),
    # The hidden layer is widened until the parameters are those of RTIL.
    "late_fusion": Row(_late_fusion(head_features=580)),
    "skeleton": Row(_late_fusion(), ("skeleton",)),
    "acc": Row(_late_fusion(), ("acc",)),
    "gyro": Row(_late_fusion(), ("gyro",)),
}


def run(
    row: str,
    seed: int,
    data: Path,
    overrides: dict[str, Any],
    settings: list[str],
    train_on: tuple[int, ...],
    score_on: tuple[int, ...],
) -> dict[str, Any]:
    """Train one row with one seed and score it on the other subjects."""
    torch.set_num_threads(1)
    chosen = ROWS[row]
    config = load_config(overrides=[*settings, *chosen.settings, f"seed={seed}"])
    training, scored = read_clips(data, train_on), read_clips(data, score_on)
    preparation = Preparation(
        training + scored, inertial_statistics(training), aligned=chosen.aligned, drop_rate=DROP_RATE
    )
    start = time.perf_counter()
    result = fit(
        config,
        model=partial(chosen.model, **overrides),
        train=preparation.dataset(training, chosen.modalities),
        test=preparation.dataset(scored, chosen.modalities),
        transform=preparation.augment,
    )
    last = result.history[-1]
    return {
        "row": row,
        "seed": seed,
        "accuracy": result.scores["test"]["accuracy"],
        "macro_f1": result.scores["test"]["macro_f1"],
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "seconds": time.perf_counter() - start,
        "training": {name: value for name, value in last.items() if name.startswith("train/")},
    }


def cached_run(cache: Path, row: str, seed: int, **arguments: Any) -> dict[str, Any]:
    """`run`, unless the cache holds its result already."""
    path = cache / f"{row}-{seed}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    result = run(row, seed, **arguments)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(result), encoding="utf-8")
    unfinished.replace(path)
    print(f"{row:15} seed {seed}: accuracy {result['accuracy']:.3f} after {result['seconds']:.0f} s", flush=True)
    return result


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds."""
    scores = {}
    for name in ("accuracy", "macro_f1", "seconds"):
        values = [entry[name] for entry in runs]
        scores[name] = {
            "mean": statistics.mean(values),
            "std": statistics.stdev(values) if len(values) > 1 else 0.0,
            "values": values,
        }
    return {"parameters": runs[0]["parameters"], "seeds": [entry["seed"] for entry in runs], **scores}


def validate(data: Path, row: str, overrides: dict[str, Any], settings: list[str], subjects: list[int]) -> None:
    """Leave one training subject out at a time."""
    scores = []
    for subject in subjects:
        rest = tuple(other for other in TRAINING_SUBJECTS if other != subject)
        result = run(row, 0, data, overrides, settings, rest, (subject,))
        scores.append(result["accuracy"])
        terms = ", ".join(f"{name[6:]} {value:.3f}" for name, value in result["training"].items())
        print(f"subject {subject}: {scores[-1]:.3f} ({result['seconds']:.0f} s; {terms})", flush=True)
    print(f"{row} {overrides}: mean {statistics.mean(scores):.3f} over subjects {subjects}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="utd_mhad.npz")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--cache", type=Path, default=Path("runs/utd_mhad"), help="where finished runs are kept")
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs, nothing kept")
    parser.add_argument(
        "--validate", nargs="+", metavar=("ROW", "key=value"), help="leave-one-subject-out on training subjects"
    )
    parser.add_argument(
        "--subjects", type=int, nargs="+", default=list(TRAINING_SUBJECTS), help="left out by --validate"
    )
    parser.add_argument(
        "--set", dest="settings", nargs="*", default=[], help="training settings, as of the command line"
    )
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        parser.error(f"--data: {arguments.data} is no file; UTD-MHAD is not part of this project.")
    settings = SETTINGS + arguments.settings + (["training.max_epochs=2"] if arguments.quick else [])
    if arguments.validate:
        row, *given = arguments.validate
        overrides = {key: yaml.safe_load(value) for key, _, value in (entry.partition("=") for entry in given)}
        validate(arguments.data, row, overrides, settings, arguments.subjects)
        return
    jobs = [(row, seed) for seed in range(1 if arguments.quick else arguments.seeds) for row in arguments.rows]
    with ProcessPoolExecutor(arguments.workers) as pool:
        call = run if arguments.quick else partial(cached_run, arguments.cache)
        pending = [
            pool.submit(
                call,
                row,
                seed,
                data=arguments.data,
                overrides={},
                settings=settings,
                train_on=TRAINING_SUBJECTS,
                score_on=TEST_SUBJECTS,
            )
            for row, seed in jobs
        ]
        runs = [future.result() for future in pending]
    rows = {row: summary([entry for entry in runs if entry["row"] == row]) for row in arguments.rows}
    for row, scores in rows.items():
        accuracy = scores["accuracy"]
        print(
            f"{row:15} accuracy {accuracy['mean']:.3f} +- {accuracy['std']:.3f}   "
            f"{scores['parameters']:7d} parameters   {scores['seconds']['mean']:.0f} s a run"
        )
    if not arguments.quick:
        write("utd_mhad", {"settings": settings, "hidden_features": HIDDEN, "rows": rows})


if __name__ == "__main__":
    main()

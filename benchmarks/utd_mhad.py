"""Accuracy on UTD-MHAD: 27 actions, three sensors of unequal rates and lengths, people never seen in training.

    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz                 # 7 rows x 5 seeds
    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz --ablations --seeds 3   # MEA without one part at a time
    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz --quick         # every row, 2 epochs: does everything run?
    python -m benchmarks.utd_mhad --data FOLDER/utd_mhad.npz --validate rtil adversarial_weight=0.1

Training subjects 1, 3, 5, 7, test subjects 2, 4, 6, 8. Every row has the same clips, features, augmentation, optimiser
and number of epochs; the weights are those of the last epoch, so nothing is selected on test subjects. `--validate`
trains on three of the training subjects and scores on the fourth; it is how the settings below were chosen, and it does
not read the test subjects at all. Finished runs are kept in `--cache`, so an interrupted benchmark goes on where it
stopped.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._measure import write
from benchmarks._runs import cached, in_processes, model_settings, parse, parser, summary
from benchmarks.baselines import LateFusion
from benchmarks.utd_mhad_data import (
    MODALITIES,
    TEST_SUBJECTS,
    TRAINING_SUBJECTS,
    Preparation,
    inertial_statistics,
    read_clips,
)
from mmdisentangle.data import MultimodalDataset
from mmdisentangle.models import MEA, RTIL
from mmdisentangle.training import Result, fit, load_config

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


MEA_SIZES = {
    "hidden_features": HIDDEN,
    "num_heads": 2,
    "feedforward_features": 80,
    "hca_layers": 1,
    "dropout": 0.0,
}


def _mea_row(**settings: Any) -> Row:
    model = partial(MEA, label_smoothing=SMOOTHING, **{**MEA_SIZES, **settings})
    return Row(model, settings=("training.reversal.schedule=none",))


ROWS = {
    "rtil": Row(_rtil(feedforward_features=256)),
    # Streams are resampled to the skeleton's length; the reversal keeps the released strength of 1 throughout.
    "rtil_published": Row(_rtil(published=True), aligned=True, settings=("training.reversal.schedule=none",)),
    # The reversal keeps the paper's strength of 1 throughout; the weight of the adversarial terms is .03 anyway.
    "mea": _mea_row(),
    # The hidden layer is widened until the parameters are those of RTIL.
    "late_fusion": Row(_late_fusion(head_features=580)),
    "skeleton": Row(_late_fusion(), ("skeleton",)),
    "acc": Row(_late_fusion(), ("acc",)),
    "gyro": Row(_late_fusion(), ("gyro",)),
}

# MEA without one part, or with another in its place; fewer epochs, so these rows compare with each other alone.
ABLATIONS = {
    "mea": _mea_row(),
    "no_psa": _mea_row(psa_layers=0),
    "no_hca": _mea_row(hca_layers=0),
    "no_adversary": _mea_row(adversarial_weight=0.0),
    "no_importance": _mea_row(importance_weights=False),
    "concat": _mea_row(fusion="concat"),
    "add": _mea_row(fusion="add"),
    "multiply": _mea_row(fusion="multiply"),
}
ABLATION_EPOCHS = 15


def trained(
    chosen: Row,
    seed: int,
    data: Path,
    overrides: dict[str, Any],
    settings: list[str],
    train_on: tuple[int, ...],
    score_on: tuple[int, ...],
) -> tuple[Result, MultimodalDataset]:
    """Train one row with one seed; return the clips it was scored on, too."""
    torch.set_num_threads(1)
    config = load_config(overrides=[*settings, *chosen.settings, f"seed={seed}"])
    training, scored = read_clips(data, train_on), read_clips(data, score_on)
    preparation = Preparation(
        training + scored, inertial_statistics(training), aligned=chosen.aligned, drop_rate=DROP_RATE
    )
    test = preparation.dataset(scored, chosen.modalities)
    result = fit(
        config,
        model=partial(chosen.model, **overrides),
        train=preparation.dataset(training, chosen.modalities),
        test=test,
        transform=preparation.augment,
    )
    return result, test


def run(chosen: Row, row: str, seed: int, **given: Any) -> dict[str, Any]:
    """Train one row with one seed and score it on the other subjects; more arguments are those of `trained`."""
    start = time.perf_counter()
    result, _ = trained(chosen, seed, **given)
    last = result.history[-1]
    return {
        "row": row,
        "seed": seed,
        "accuracy": result.scores["test"]["accuracy"],
        "macro_f1": result.scores["test"]["macro_f1"],
        "training_accuracy": last["train/accuracy"],
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "seconds": time.perf_counter() - start,
        "training": {name: value for name, value in last.items() if name.startswith("train/")},
    }


def report(result: dict[str, Any]) -> str:
    """A line about one finished run."""
    accuracy, seconds = result["accuracy"], result["seconds"]
    return f"{result['row']:15} seed {result['seed']}: accuracy {accuracy:.3f} after {seconds:.0f} s"


def validate(data: Path, row: str, overrides: dict[str, Any], settings: list[str], subjects: list[int]) -> None:
    """Leave one training subject out at a time."""
    scores = []
    for subject in subjects:
        rest = tuple(other for other in TRAINING_SUBJECTS if other != subject)
        given = {"data": data, "overrides": overrides, "settings": settings}
        result = run(ROWS[row], row, 0, **given, train_on=rest, score_on=(subject,))
        scores.append(result["accuracy"])
        terms = ", ".join(f"{name[6:]} {value:.3f}" for name, value in result["training"].items())
        print(f"subject {subject}: {scores[-1]:.3f} ({result['seconds']:.0f} s; {terms})", flush=True)
    print(f"{row} {overrides}: mean {statistics.mean(scores):.3f} over subjects {subjects}", flush=True)


def main() -> None:
    options = parser(__doc__, ROWS, "utd_mhad.npz", Path("runs/utd_mhad"))
    options.add_argument(
        "--subjects", type=int, nargs="+", default=list(TRAINING_SUBJECTS), help="left out by --validate"
    )
    options.add_argument("--ablations", action="store_true", help="parts of MEA one at a time, instead of the rows")
    arguments = parse(options)
    settings = SETTINGS + arguments.settings
    if arguments.validate:
        row, *given = arguments.validate
        validate(arguments.data, row, model_settings(given), settings, arguments.subjects)
        return
    table, name, cache = {row: ROWS[row] for row in arguments.rows}, "utd_mhad", arguments.cache
    if arguments.ablations:
        table, name, cache = ABLATIONS, "utd_mhad_ablations", arguments.cache / "ablations"
        settings = [*settings, f"training.max_epochs={ABLATION_EPOCHS}"]
    settings += ["training.max_epochs=2"] if arguments.quick else []
    common = {
        "data": arguments.data,
        "overrides": {},
        "settings": settings,
        "train_on": TRAINING_SUBJECTS,
        "score_on": TEST_SUBJECTS,
    }
    calls = []
    for seed in range(1 if arguments.quick else arguments.seeds):
        for row, chosen in table.items():
            call = partial(run, chosen, row=row, seed=seed, **common)
            calls.append(call if arguments.quick else partial(cached, cache / f"{row}-{seed}.json", call, report))
    runs = in_processes(calls, arguments.workers)
    rows = {
        row: summary(
            [entry for entry in runs if entry["row"] == row], ("accuracy", "macro_f1", "training_accuracy", "seconds")
        )
        for row in table
    }
    for row, scores in rows.items():
        accuracy = scores["accuracy"]
        print(
            f"{row:15} accuracy {accuracy['mean']:.3f} +- {accuracy['std']:.3f}   "
            f"{scores['parameters']:7d} parameters   {scores['seconds']['mean']:.0f} s a run"
        )
    if not arguments.quick and (arguments.ablations or list(table) == list(ROWS)):
        write(name, {"settings": settings, "hidden_features": HIDDEN, "rows": rows})


if __name__ == "__main__":
    main()

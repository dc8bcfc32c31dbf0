"""Sentiment of movie reviews on ICT-MMMO: text, audio and vision, 80 clips to train on, and 220 more without text.

    python -m benchmarks.mmmo --data FOLDER/mmmo.npz                 # 7 rows x 5 seeds x 2 protocols
    python -m benchmarks.mmmo --data FOLDER/mmmo.npz --quick         # 2 epochs each: does everything run?
    python -m benchmarks.mmmo --data FOLDER/mmmo.npz --cross-validate --seeds 2      # every row, test clips unread
    python -m benchmarks.mmmo --data FOLDER/mmmo.npz --validate rtil temporal_weight=0

Protocol `complete` trains on the 80 clips that have text and tests on 40; `with_missing_text` adds the 220 clips
without text to training. Every row has the same clips, scaling, optimiser and number of epochs, and the weights are
those of the last epoch, so nothing is selected on the test clips. `--validate` cross-validates one row within the 80
and does not read the test clips; it is how the settings below were chosen. `--cross-validate` does so with every row as
it stands. Finished runs are kept in `--cache`.
"""

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._measure import write
from benchmarks._runs import cached, in_processes, model_settings, parse, parser, summary
from benchmarks.baselines import LateFusion
from benchmarks.mmmo_data import (
    COMPLETE,
    HELD_OUT,
    MODALITIES,
    POSITIVE_ABOVE,
    WITHOUT_TEXT,
    Clip,
    prepare,
    read_clips,
)
from mmdisentangle.evaluation import TaskScores, predict
from mmdisentangle.models import MEA, RTIL
from mmdisentangle.training import fit, load_config

SETTINGS = [
    "data.batch_size=16",
    "data.standardize=none",
    "optim.lr=1e-3",
    "optim.weight_decay=0.05",
    "training.max_epochs=20",
    "training.selection=last",
    "training.accelerator=cpu",
]
HIDDEN = 32
BLOCKS = 2
FOLDS = 5
PROTOCOLS = {"complete": (COMPLETE,), "with_missing_text": (COMPLETE, WITHOUT_TEXT)}
SCORES = ("mae", "pearson", "accuracy")
ALL = tuple(MODALITIES)


@dataclass(frozen=True)
class Row:
    """A model and its modalities; no model: the mean of the training targets."""

    model: Callable[..., nn.Module] | None
    modalities: tuple[str, ...] = ALL


_late_fusion = partial(LateFusion, hidden_features=HIDDEN, encoder_blocks=BLOCKS)

ROWS = {
    "rtil": Row(partial(RTIL, hidden_features=HIDDEN, encoder_blocks=BLOCKS, feedforward_features=2 * HIDDEN)),
    "mea": Row(
        partial(
            MEA,
            features=HIDDEN,
            hidden_features=HIDDEN,
            encoder_blocks=BLOCKS,
            num_heads=4,
            feedforward_features=2 * HIDDEN,
        )
    ),
    "late_fusion": Row(_late_fusion),
    "text": Row(_late_fusion, ("text",)),
    "audio": Row(_late_fusion, ("audio",)),
    "vision": Row(_late_fusion, ("vision",)),
    "constant": Row(None),
}


@dataclass(frozen=True)
class Trained:
    """Predictions ``[N]`` for the scored clips, and what they cost."""

    prediction: Tensor
    parameters: int
    seconds: float
    training: dict[str, float]


def train(
    row: str,
    seed: int,
    training: Sequence[Clip],
    scored: Sequence[Clip],
    overrides: dict[str, Any],
    settings: list[str],
) -> Trained:
    """Train one row with one seed and predict."""
    torch.set_num_threads(1)
    chosen = ROWS[row]
    if chosen.model is None:
        mean = statistics.mean(clip.sentiment for clip in training)
        return Trained(torch.full((len(scored),), mean), 0, 0.0, {})
    known, unknown = prepare(training, scored, chosen.modalities)
    start = time.perf_counter()
    result = fit(
        load_config(overrides=[*settings, f"seed={seed}"]), model=partial(chosen.model, **overrides), train=known
    )
    seconds = time.perf_counter() - start
    return Trained(
        predict(result.model, unknown).prediction.squeeze(-1),
        sum(parameter.numel() for parameter in result.model.parameters()),
        seconds,
        {name: value for name, value in result.history[-1].items() if name.startswith("train/")},
    )


def scores(prediction: Tensor, clips: Sequence[Clip]) -> dict[str, float | None]:
    """Mean absolute error, Pearson correlation (None where undefined), accuracy of "above 3.5"."""
    target = torch.tensor([clip.sentiment for clip in clips])
    task = TaskScores("regression", 1)
    task.update(prediction.unsqueeze(-1), target)
    values: dict[str, float | None] = {name: float(value) for name, value in task.compute().items()}
    if prediction.unique().numel() == 1:
        values["pearson"] = None
    right = (prediction > POSITIVE_ABOVE) == (target > POSITIVE_ABOVE)
    return {**values, "accuracy": float(right.float().mean())}


def run(
    protocol: str, row: str, seed: int, data: Path, overrides: dict[str, Any], settings: list[str]
) -> dict[str, Any]:
    """Train one row on a protocol's clips with one seed and score it on the test clips."""
    training = [clip for part in PROTOCOLS[protocol] for clip in read_clips(data, part)]
    scored = read_clips(data, HELD_OUT)
    trained = train(row, seed, training, scored, overrides, settings)
    return {
        "protocol": protocol,
        "row": row,
        "seed": seed,
        **scores(trained.prediction, scored),
        "parameters": trained.parameters,
        "seconds": trained.seconds,
        "training": trained.training,
    }


def line(values: dict[str, Any]) -> str:
    """The scores in words."""
    return ", ".join(f"{name} {'-' if values[name] is None else format(values[name], '.3f')}" for name in SCORES)


def report(result: dict[str, Any]) -> str:
    """A line about one finished run."""
    return (
        f"{result['protocol']:17} {result['row']:12} seed {result['seed']}: {line(result)} ({result['seconds']:.0f} s)"
    )


def validate(
    data: Path, protocol: str, row: str, overrides: dict[str, Any], settings: list[str], seeds: int
) -> dict[str, float | None]:
    """Scores of a cross-validation within the complete training clips, mean over seeds.

    Clips without text are always trained on.
    """
    complete = read_clips(data, COMPLETE)
    more = [clip for part in PROTOCOLS[protocol] if part != COMPLETE for clip in read_clips(data, part)]
    order = torch.randperm(len(complete), generator=torch.Generator().manual_seed(0)).tolist()
    results = []
    for seed in range(seeds):
        prediction = torch.zeros(len(complete))
        for fold in range(FOLDS):
            out = order[fold::FOLDS]
            kept = [clip for index, clip in enumerate(complete) if index not in out]
            trained = train(row, seed, kept + more, [complete[index] for index in out], overrides, settings)
            prediction[out] = trained.prediction
        results.append(scores(prediction, complete))
    terms = ", ".join(f"{name[6:]} {value:.3f}" for name, value in trained.training.items())
    known = {name: [result[name] for result in results if result[name] is not None] for name in SCORES}
    means = {name: statistics.mean(values) if values else None for name, values in known.items()}
    print(
        f"{protocol} {row} {overrides}: {line(means)} ({trained.seconds:.0f} s a fold; last fold: {terms})", flush=True
    )
    return means


def main() -> None:
    options = parser(__doc__, ROWS, "mmmo.npz", Path("runs/mmmo"))
    options.add_argument("--cross-validate", action="store_true", help="every row within the 80 clips that have text")
    options.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    arguments = parse(options)
    settings = SETTINGS + arguments.settings + (["training.max_epochs=2"] if arguments.quick else [])
    seeds = 1 if arguments.quick else arguments.seeds
    if arguments.validate:
        row, *given = arguments.validate
        for protocol in arguments.protocols:
            validate(arguments.data, protocol, row, model_settings(given), settings, seeds)
        return
    if arguments.cross_validate:
        rows = {row: validate(arguments.data, "complete", row, {}, settings, seeds) for row in arguments.rows}
        if list(rows) == list(ROWS) and not arguments.quick and not arguments.settings:
            write("mmmo_validation", {"settings": settings, "folds": FOLDS, "seeds": seeds, "rows": rows})
        return
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    calls = []
    for seed in range(seeds):
        for protocol in arguments.protocols:
            for row in arguments.rows:
                call = partial(run, protocol, row, seed, data=arguments.data, overrides={}, settings=settings)
                path = arguments.cache / f"{protocol}-{row}-{seed}-{digest}.json"
                calls.append(call if arguments.quick else partial(cached, path, call, report))
    runs = in_processes(calls, arguments.workers)
    protocols = {
        protocol: {
            row: summary(
                [entry for entry in runs if (entry["protocol"], entry["row"]) == (protocol, row)],
                (*SCORES, "seconds"),
            )
            for row in arguments.rows
        }
        for protocol in arguments.protocols
    }
    for protocol, rows in protocols.items():
        for row, entry in rows.items():
            texts = [
                f"{name} " + ("-" if entry[name]["mean"] is None else "{mean:.3f} +- {std:.3f}".format(**entry[name]))
                for name in SCORES
            ]
            print(f"{protocol:17} {row:12} {'   '.join(texts)}   {entry['parameters']:7d} parameters")
    whole = list(arguments.rows) == list(ROWS) and list(arguments.protocols) == list(PROTOCOLS)
    if whole and not arguments.quick and not arguments.settings:
        write("mmmo", {"settings": settings, "hidden_features": HIDDEN, "protocols": protocols})


if __name__ == "__main__":
    main()

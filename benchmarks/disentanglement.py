"""Do RTIL, MEA and MISA disentangle, as corrected and as published? On Gaussian data whose factors are known.

    python -m benchmarks.disentanglement                       # 9 rows x 5 seeds
    python -m benchmarks.disentanglement --terms               # RTIL without one term at a time, 3 seeds
    python -m benchmarks.disentanglement --codes               # the picture of shared codes, seed 4
    python -m benchmarks.disentanglement --quick               # every row, one epoch: does everything run?

Three modalities see three shared factors and three of their own each, through random orthogonal directions and noise;
the target is a sum of the shared factors. A seed draws the world, its clips, the initial weights and the batches. All
rows have the same data, epochs, optimiser and width; the weights are those of the last epoch. Leakage is that of the
better of a linear and a nonlinear probe on test clips (0 chance, 1 perfect), see docs/guides/leakage.md. Finished runs
are kept in `--cache`, so an interrupted benchmark goes on where it stopped.
"""

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from benchmarks._measure import write
from benchmarks._runs import cached, in_processes, summary
from benchmarks.tables import spread
from mmdisentangle.data import SharedPrivateData, SharedPrivateGenerator
from mmdisentangle.evaluation import probe_score
from mmdisentangle.evaluation.codes import Codes, collect_codes
from mmdisentangle.training import Result, fit, load_config

WIDTHS = {"a": 16, "b": 12, "c": 10}
WORLD = {"modalities": WIDTHS, "lengths": 8, "shared_factors": 3, "private_factors": 3, "noise": 0.3}
TRAINED, TESTED = 2000, 800
SETTINGS = [
    "data.batch_size=64",
    "optim.lr=3e-3",
    "training.max_epochs=25",
    "training.selection=last",
    "training.accelerator=cpu",
    "training.monitor_discriminator=false",
]
FIGURE = Path("docs/_static/disentanglement.png")
FRONT = Path("docs/_static/front.png")
# Of the modalities.
COLOURS = ("#1f5f99", "#d9822b", "#3a9a5b")

RTIL = {"hidden_features": 32, "encoder_blocks": 2}
MEA = {
    "features": 16,
    "hidden_features": 32,
    "num_heads": 2,
    "encoder_blocks": 2,
    "feedforward_features": 32,
    "psa_layers": 2,
    "hca_layers": 1,
}
MISA = {"hidden_features": 32}
MMD = {"similarity": "mmd", "similarity_weight": 300.0}
TERMS = ("adversarial", "similarity", "reconstruction", "temporal")
WITHOUT = {f"{term}_weight": 0.0 for term in TERMS}
# As published: the strength of the reversal is the model's own, not that of a schedule.
CONSTANT = ("training.reversal.schedule=none",)


@dataclass(frozen=True)
class Row:
    """A model, its settings, and training settings that others do not need."""

    model: str
    settings: Mapping[str, Any]
    training: tuple[str, ...] = ()


ROWS = {
    "no disentangling (RTIL without its terms)": Row("rtil", {**RTIL, **WITHOUT}),
    "RTIL": Row("rtil", RTIL),
    "RTIL, MMD for CMD": Row("rtil", {**RTIL, **MMD}),
    "RTIL, as published": Row("rtil", {"hidden_features": 32, "published": True}, CONSTANT),
    "MEA": Row("mea", MEA),
    "MEA, published settings": Row("mea", {**MEA, "preset": "mosi"}, CONSTANT),
    "MISA": Row("misa", MISA),
    "MISA, MMD for CMD, terms reach the encoders": Row("misa", {**MISA, **MMD, "terms_reach_encoders": True}),
    "MISA, as published": Row("misa", {**MISA, "preset": "mosi"}, CONSTANT),
}
BASELINE = "no disentangling (RTIL without its terms)"
REACHES = "RTIL, MMD for CMD"
ABLATIONS = {
    "RTIL": ROWS["RTIL"],
    **{f"RTIL without {term}": Row("rtil", {**RTIL, f"{term}_weight": 0.0}) for term in TERMS},
    "RTIL, adversary 10 times stronger": Row("rtil", RTIL, ("training.reversal.strength=1",)),
    "RTIL, MMD for CMD": ROWS["RTIL, MMD for CMD"],
    "RTIL, MMD for CMD, no adversary": Row("rtil", {**RTIL, **MMD, "adversarial_weight": 0.0}),
}
SCORES = ("pearson", "mae", "modality_in_shared", "modality_in_shared_linear", "modality_in_private",
          "private_in_shared", "private_in_private", "shared_in_shared")  # fmt: skip


def trained(row: Row, seed: int, settings: list[str]) -> tuple[Result, Codes, SharedPrivateData]:
    """Train one row in the world of a seed; return its codes of the test clips, too."""
    torch.set_num_threads(1)
    # The probes' matrices are small: threads of NumPy would only wait for each other.
    threadpool_limits(1)
    world = SharedPrivateGenerator(**WORLD, seed=seed)  # type: ignore[arg-type]
    train, test = world.draw(TRAINED, seed=100 + seed), world.draw(TESTED, seed=200 + seed)
    # As the command line writes them: tuples as lists.
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in row.settings.items()}
    model = [f"model.{key}={value}" for key, value in given.items()]
    config = load_config(overrides=[f"seed={seed}", *SETTINGS, *settings, *row.training, *model])
    result = fit(config, model=row.model, train=train.dataset, test=test.dataset)
    return result, collect_codes(result.model, test.dataset, standardizer=result.standardizer), test


def run(row: Row, seed: int, settings: list[str]) -> dict[str, Any]:
    """Train one row in the world of a seed and judge its codes."""
    result, codes, test = trained(row, seed, settings)
    linear, nonlinear = (modality_read(codes, "shared", probe) for probe in ("linear", "nonlinear"))
    return {
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        **result.scores["test"],
        "modality_in_shared": max(linear, nonlinear),
        "modality_in_shared_linear": linear,
        "modality_in_private": max(modality_read(codes, "private", probe) for probe in ("linear", "nonlinear")),
        **{
            f"{factor}_in_{part}": statistics.fmean(
                factor_read(codes.part(part)[m], test.factors["shared" if factor == "shared" else m]) for m in WIDTHS
            )
            for factor, part in (("private", "shared"), ("private", "private"), ("shared", "shared"))
        },
    }


def modality_read(codes: Codes, part: str, probe: Any) -> float:
    blocks = list(codes.part(part).values())
    count = len(blocks[0])
    found = probe_score(
        np.concatenate(blocks),
        np.repeat(np.arange(len(blocks)), count),
        task="classification",
        groups=np.tile(np.arange(count), len(blocks)),
        probe=probe,
        permutations=0,
        bootstraps=2,
    )
    return found.normalized


def factor_read(codes: Any, factor: torch.Tensor) -> float:
    """R^2 of the better probe."""
    return max(
        probe_score(codes, factor.numpy(), task="regression", probe=probe, permutations=0, bootstraps=2).score
        for probe in ("linear", "nonlinear")
    )


def draw(rows: Mapping[str, Any]) -> None:
    """Bars of what is read from the shared codes, a point for every seed, beside the task score."""
    shown = {
        "modality_in_shared": "modality\nfrom shared codes (want 0)",
        "private_in_shared": "private factors\nfrom shared codes (want 0)",
        "pearson": "task: Pearson correlation",
    }
    figure = Figure(figsize=(11, 0.42 * len(rows) + 1.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (score, title) in zip(figure.subplots(1, 3, sharey=True), shown.items(), strict=True):
        for number, row in enumerate(rows.values()):
            values = row[score]["values"]
            # No bars on the axis that does not start at 0.
            if score != "pearson":
                axes.barh(number, row[score]["mean"], 0.62, color="#9dc3e6")
            axes.plot(values, [number] * len(values), "o", color="#1f5f99", markersize=3.5)
        axes.set_title(title, fontsize=10)
        axes.set_xlim((0.85, 1.005) if score == "pearson" else (-0.05, 1.05))
        axes.grid(axis="x", alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if score == "modality_in_shared":
            axes.axvline(0.15, color="#a8222f", linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    figure.savefig(FIGURE)


def draw_codes(seed: int = 4) -> None:
    """Shared codes of the test clips without and with disentangling, first two principal components of each."""
    figure = Figure(figsize=(8.4, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    titles = {BASELINE: "trained on the task alone", REACHES: "with RTIL's terms and MMD"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        result, codes, _ = trained(ROWS[name], seed, [])
        shared = codes.part("shared")
        centre = np.concatenate(list(shared.values())).mean(0)
        directions = np.linalg.svd(np.concatenate(list(shared.values())) - centre, full_matrices=False)[2][:2]
        # In turns, so that no modality lies on top of the others.
        points = np.stack([(block - centre) @ directions.T for block in shared.values()], axis=1)
        colours = np.tile(COLOURS, len(points))
        axes.scatter(*points.reshape(-1, 2).T, s=5, c=colours, alpha=0.6, linewidths=0)
        # A little below chance is chance.
        read = max(0.0, *(modality_read(codes, "shared", probe) for probe in ("linear", "nonlinear")))
        pearson = result.scores["test"]["pearson"]
        axes.set_title(
            f"{title}\nmodality read by a probe: {read:.2f} (0 chance, 1 perfect)\ntask: correlation {pearson:.3f}",
            fontsize=10,
        )
        axes.set(xticks=[], yticks=[])
    for name, colour in zip(WIDTHS, COLOURS, strict=True):
        axes.plot([], [], "o", color=colour, label=f"modality {name}")
    axes.legend(fontsize=9, frameon=False, loc="best")
    figure.savefig(FRONT)
    print(f"wrote {FRONT}")


def line(name: str, row: Mapping[str, Any]) -> str:
    cells = [spread(row[score]) for score in SCORES if score != "mae"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--terms", action="store_true", help="RTIL without one term at a time")
    options.add_argument("--codes", action="store_true", help="draw shared codes without and with disentangling")
    options.add_argument("--seeds", type=int, help="5, with --terms 3")
    options.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    options.add_argument(
        "--cache", type=Path, default=Path("runs/disentanglement"), help="where finished runs are kept"
    )
    options.add_argument("--quick", action="store_true", help="one seed, one epoch, nothing written")
    given = options.parse_args()
    if given.codes:
        draw_codes()
        return
    rows = ABLATIONS if given.terms else ROWS
    seeds = 1 if given.quick else given.seeds or (3 if given.terms else 5)
    settings = ["training.max_epochs=1"] if given.quick else []
    folder = given.cache / "quick" if given.quick else given.cache
    calls = [
        partial(
            cached,
            folder / f"{name}-{seed}.json".replace(" ", "_"),
            run,
            partial(told, name),
            row=row,
            seed=seed,
            settings=settings,
        )
        for seed in range(seeds)
        for name, row in rows.items()
    ]
    runs = in_processes(calls, given.workers)
    found = {name: summary(runs[number :: len(rows)], SCORES) for number, name in enumerate(rows)}
    for name, row in found.items():
        print(line(name, row))
    if given.quick:
        return
    content = {
        "world": WORLD,
        "train": TRAINED,
        "test": TESTED,
        "settings": SETTINGS,
        "models": {
            name: {"model": row.model, "settings": {**row.settings}, "training": list(row.training)}
            for name, row in rows.items()
        },
        "rows": found,
    }
    write("disentanglement_terms" if given.terms else "disentanglement", content)
    if not given.terms:
        draw(found)


def told(name: str, result: Mapping[str, Any]) -> str:
    numbers = ", ".join(f"{score} {result[score]:.3f}" for score in SCORES)
    return f"{name}, seed {result['seed']}: {numbers}"


if __name__ == "__main__":
    main()

"""Bounds of mutual information against the truth, on correlated Gaussians.

    python -m benchmarks.mutual_information              # three minutes on one thread; rewrites the result and the plot
    python -m benchmarks.mutual_information --steps 50   # seconds; writes nothing

x and y have D standard normal features each; feature d of y has the correlation rho with feature d of x and none with
the others, so the information is -D/2 log(1 - rho^2). Every estimator trains on fresh samples with one optimizer and a
plain loop, and is evaluated on held-out batches: the mean over batches, and its standard error given what was trained.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks._measure import RESULTS, write
from mmdisentangle import functional
from mmdisentangle.evaluation.figures import panel_grid, save_figure
from mmdisentangle.nn import CLUB, MINE, NWJ, InfoNCELoss

PICTURE = RESULTS.parents[1] / "docs" / "_static" / "mutual_information.png"
FEATURES = 8
INFORMATION = (1.0, 2.0, 4.0)
SEEDS = (0, 1, 2)
BATCH, STEPS, LEARNING_RATE = 256, 1_500, 2e-3
# Held-out batches; the larger one for all bounds that have no ceiling by their batch size.
EVALUATED, LARGE, SMALL = 40, 1_024, 16
HIDDEN, EMBEDDING = 128, 32


class ExactCLUB(nn.Module):
    """CLUB with the true conditional distribution; nothing to learn."""

    def __init__(self, rho: float) -> None:
        super().__init__()
        self.rho = rho

    def estimate(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.club(self.rho * x, torch.full_like(y, math.log1p(-(self.rho**2))), y)


class Contrastive(nn.Module):
    """InfoNCE on the codes of two networks."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(FEATURES, HIDDEN),
                nn.ReLU(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(),
                nn.Linear(HIDDEN, EMBEDDING),
            )
            for _ in range(2)
        )
        self.loss = InfoNCELoss(critic="dot", temperature=1.0)

    def codes(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.networks[0](x), self.networks[1](y)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = self.loss(*self.codes(x, y))
        return loss

    def estimate(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss.information(*self.codes(x, y))


class Bound(NamedTuple):
    """How an estimator is built from the correlation, on which side it bounds, on how many samples it is evaluated."""

    build: Callable[[float], nn.Module]
    upper: bool
    samples: int = LARGE


def critic(kind: type[MINE] | type[NWJ]) -> Callable[[float], nn.Module]:
    return lambda rho: kind(FEATURES, FEATURES, hidden_features=HIDDEN, embedding_features=EMBEDDING)


BOUNDS = {
    "CLUB, exact q": Bound(ExactCLUB, upper=True),
    "CLUB": Bound(lambda rho: CLUB(FEATURES, FEATURES, hidden_features=HIDDEN), upper=True),
    "MINE": Bound(critic(MINE), upper=False),
    "NWJ": Bound(critic(NWJ), upper=False),
    "InfoNCE": Bound(lambda rho: Contrastive(), upper=False),
}


def correlation(information: float) -> float:
    """The rho of every pair of features for a mutual information in nats."""
    return math.sqrt(-math.expm1(-2 * information / FEATURES))


def samples(rho: float, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(2, count, FEATURES, generator=generator)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def train(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], steps: int) -> None:
    """One optimizer, one loss: what a user writes."""
    parameters = list(model.parameters())
    if not parameters:
        return
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(*next(batches)).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def evaluate(model: Any, rho: float, count: int, generator: torch.Generator) -> dict[str, float]:
    """Mean over held-out batches, and its standard error."""
    model.eval()
    values = torch.stack([model.estimate(*samples(rho, count, generator)) for _ in range(EVALUATED)]).double()
    return {"mean": values.mean().item(), "standard_error": (values.std() / math.sqrt(EVALUATED)).item()}


def measure(name: str, information: float, seed: int, steps: int = STEPS) -> dict[str, dict[str, float]]:
    """Train one estimator and evaluate it; InfoNCE on small batches, too, where log N is the ceiling."""
    bound, rho = BOUNDS[name], correlation(information)
    torch.manual_seed(seed)
    model = bound.build(rho)
    stream, held_out = (torch.Generator().manual_seed(1_000 * part + seed) for part in (1, 2))
    train(model, iter(lambda: samples(rho, BATCH, stream), None), steps)
    found = {name: evaluate(model, rho, bound.samples, held_out)}
    if name == "InfoNCE":
        found[f"InfoNCE, N = {SMALL}"] = evaluate(model, rho, SMALL, held_out)
    return found


def is_upper(name: str) -> bool:
    return BOUNDS[name.partition(", N")[0]].upper


def summarize(name: str, information: float, seeds: list[dict[str, float]]) -> dict[str, Any]:
    """Over seeds, and by how many standard errors the mean is on the right side of the truth (negative: wrong)."""
    mean = sum(row["mean"] for row in seeds) / len(seeds)
    error = math.sqrt(sum(row["standard_error"] ** 2 for row in seeds)) / len(seeds)
    gap = mean - information if is_upper(name) else information - mean
    return {
        "bound": name,
        "side": "upper" if is_upper(name) else "lower",
        "information": information,
        "mean": mean,
        "standard_error": error,
        "gap": gap,
        "standard_errors_on_the_right_side": gap / error,
        "seeds": seeds,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Lower bounds beside the truth, and upper bounds, each on a scale of their own."""
    figure, panels = panel_grid(2, f"Bounds of mutual information, {FEATURES} + {FEATURES} Gaussian features")
    names = list(dict.fromkeys(row["bound"] for row in rows))
    for axes, side, marker in zip(panels, ("lower", "upper"), "v^", strict=True):
        axes.plot((0, INFORMATION[-1]), (0, INFORMATION[-1]), color="black", linewidth=1, label="truth")
        for name in (name for name in names if is_upper(name) == (side == "upper")):
            own = [row for row in rows if row["bound"] == name]
            axes.errorbar(
                [row["information"] for row in own],
                [row["mean"] for row in own],
                yerr=[2 * row["standard_error"] for row in own],
                marker=marker,
                linestyle="--",
                color=f"C{names.index(name)}",
                capsize=3,
                label=name,
            )
        axes.set(title=f"{side} bounds", xlabel="mutual information, nats", ylabel="bound, nats (2 standard errors)")
    panels[0].axhline(math.log(SMALL), color="grey", linestyle=":", linewidth=1, label=f"log {SMALL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, panels, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = []
    for information in INFORMATION:
        for name in BOUNDS:
            runs = [measure(name, information, seed, arguments.steps) for seed in SEEDS]
            for part in runs[0]:
                row = summarize(part, information, [run[part] for run in runs])
                rows.append(row)
                print(
                    f"I = {information:g}: {part} {row['mean']:.3f} +- {row['standard_error']:.3f}, "
                    f"{row['gap']:+.3f} on the right side",
                    flush=True,
                )
    if arguments.steps == STEPS:
        settings = {
            "features": FEATURES,
            "batch": BATCH,
            "steps": STEPS,
            "learning_rate": LEARNING_RATE,
            "hidden_features": HIDDEN,
            "embedding_features": EMBEDDING,
            "held_out_batches": EVALUATED,
            "samples_of_a_held_out_batch": LARGE,
        }
        write("mutual_information", {"settings": settings, "bounds": rows, "seconds": time.perf_counter() - started})
        draw(rows, PICTURE)


if __name__ == "__main__":
    main()

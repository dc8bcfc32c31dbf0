"""Do the permutation tests keep their level, and what do they find? No data needed; half a minute on one core.

    python -m benchmarks.permutation_tests

False alarms: the share of independent (equal) samples that a test at 5 % calls dependent (different), over many draws;
its own standard error is 0.7 % at 1,000 draws. Power: the same share where there is a dependence (a difference). The
numbers are skewed and heavy-tailed, so that no formula for Gaussians would hold. Misused: subjects have levels of their
own and ``groups`` is left out, so that the samples are not exchangeable.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._measure import write
from mmdisentangle.evaluation import PermutationTest, independence_test, two_sample_test

LEVEL = 0.05
# 1 + 199 arrangements: p <= .05 for exactly one in twenty under the null.
PERMUTATIONS = 199
SAMPLES, FEATURES, SUBJECTS = 40, 3, 10
# Seeds of the permutations, apart from those of the data.
_OTHER = 1_000_000

Draw = Callable[[torch.Generator], tuple[Tensor, Tensor]]
Test = Callable[..., PermutationTest]


def skewed(generator: torch.Generator, samples: int = SAMPLES) -> Tensor:
    """Products of normal numbers, squared on one side: skewed, heavy tails."""
    first, second = torch.randn(2, samples, FEATURES, generator=generator, dtype=torch.float64)
    return torch.where(first > 0, first * second.abs(), first.abs().sqrt() * first)


def independent(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return skewed(generator), skewed(generator)


def linear(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = skewed(generator)
    return x, 0.6 * x + skewed(generator)


def squares(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nothing is correlated."""
    x, noise = torch.randn(2, SAMPLES, FEATURES, generator=generator, dtype=torch.float64)
    return x, x.square() + 0.5 * noise


def equal(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return skewed(generator), skewed(generator, SAMPLES // 2)


def shifted(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, y = equal(generator)
    return x, y + 0.7


def stretched(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, y = equal(generator)
    return x, 2.5 * y


def subjects(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Independent, but every subject has a level of its own in either."""
    levels = torch.randn(2, SUBJECTS, FEATURES, generator=generator, dtype=torch.float64)
    x, y = levels.repeat_interleave(SAMPLES // SUBJECTS, 1)
    return x + skewed(generator), y + skewed(generator)


def subjects_apart(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two halves of the subjects."""
    x = subjects(generator)[0]
    return x[: SAMPLES // 2], x[SAMPLES // 2 :]


OF_SUBJECT = torch.arange(SUBJECTS).repeat_interleave(SAMPLES // SUBJECTS)
HALVES = (OF_SUBJECT[: SAMPLES // 2], OF_SUBJECT[SAMPLES // 2 :])
INDEPENDENCE: dict[str, Test] = {
    "HSIC, rbf": partial(independence_test, statistic="hsic", kernel="rbf"),
    "HSIC, linear": partial(independence_test, statistic="hsic", kernel="linear"),
    "distance correlation": partial(independence_test, statistic="distance_correlation"),
}
# What alarms mean: false ones of a test rightly used, true ones, false ones of a test wrongly used.
LEVEL_HELD, POWER, MISUSE = "false alarms", "power", "false alarms, misused"
ROWS: dict[str, tuple[Test, Draw, str]] = {
    **{f"{name}: independent": (test, independent, LEVEL_HELD) for name, test in INDEPENDENCE.items()},
    "MMD: equal": (two_sample_test, equal, LEVEL_HELD),
    "HSIC, rbf: subjects, in groups": (partial(INDEPENDENCE["HSIC, rbf"], groups=OF_SUBJECT), subjects, LEVEL_HELD),
    "MMD: subjects, in groups": (partial(two_sample_test, groups=HALVES), subjects_apart, LEVEL_HELD),
    **{f"{name}: linear": (test, linear, POWER) for name, test in INDEPENDENCE.items()},
    **{f"{name}: squares": (test, squares, POWER) for name, test in INDEPENDENCE.items()},
    "MMD: shifted": (two_sample_test, shifted, POWER),
    "MMD: stretched": (two_sample_test, stretched, POWER),
    "HSIC, rbf: subjects, one by one": (INDEPENDENCE["HSIC, rbf"], subjects, MISUSE),
    "MMD: subjects, one by one": (two_sample_test, subjects_apart, MISUSE),
}


def alarms(name: str, draws: int, permutations: int = PERMUTATIONS) -> int:
    """In how many of the draws of a row p is at or below the level."""
    test, draw, _ = ROWS[name]
    found = 0
    for seed in range(draws):
        data = draw(torch.Generator().manual_seed(seed))
        found += test(*data, permutations=permutations, seed=_OTHER + seed).p_value <= LEVEL
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--null-draws", type=int, default=1000)
    options.add_argument("--draws", type=int, default=200, help="where there is something to find")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = {}
    for name, (_, _, kind) in ROWS.items():
        draws = arguments.draws if kind == POWER else arguments.null_draws
        start, found = time.perf_counter(), alarms(name, draws)
        rows[name] = {"kind": kind, "draws": draws, "alarms": found}
        print(f"| {name} | {kind} | {found / draws:.1%} | {time.perf_counter() - start:.0f} s", flush=True)
    settings = {"level": LEVEL, "permutations": PERMUTATIONS, "samples": SAMPLES, "features": FEATURES}
    write("permutation_tests", {**settings, "rows": rows})


if __name__ == "__main__":
    main()

"""What DCI, MIG, SAP and modularity say about codes whose answer is known.

    python -m benchmarks.factor_metrics

Four independent Gaussian factors, and the same with classes. Perfect codes are the factors in another order, scaled;
curved ones go through monotone functions as well. Entangled codes are a rotation that puts a quarter of the variance of
every factor into every code. Independent codes have nothing to do with the factors. About two minutes.
"""

import argparse
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks._measure import write
from mmdisentangle.evaluation import factor_metrics

FACTORS = 4
CLASSES = 3
# A Hadamard matrix: orthogonal, every entry as large as any other.
ENTANGLING = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
# Mean squared correlation of a normal z with z^3, exp z, z |z| and z itself.
CURVED_SAP = (9 / 15 + 1 / (math.e - 1) + 8 / (3 * math.pi) + 1) / 4


def cases(samples: int, seed: int = 0) -> dict[str, tuple[Any, Any]]:
    """Codes and factors by the name of the case."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(samples, FACTORS))
    classes = generator.integers(0, CLASSES, size=(samples, FACTORS))
    unrelated = generator.normal(size=(samples, FACTORS))
    curved = np.stack([-(z[:, 2] ** 3), np.exp(z[:, 0]), z[:, 1] * np.abs(z[:, 1]), 5 * z[:, 3] + 1], 1)
    return {
        "perfect": (z[:, [2, 0, 3, 1]] * [3.0, -1.0, 0.1, 20.0] + 1.0, z),
        "perfect, curved": (curved, z),
        "entangled": (z @ ENTANGLING, z),
        "independent": (unrelated, z),
        "perfect, classes": (-2.0 * classes[:, ::-1], classes),
        "independent, classes": (unrelated, classes),
    }


def measure(samples: int, seed: int = 0, **settings: Any) -> dict[str, Any]:
    """Scores of every case, with intervals and chance levels."""
    return {
        name: {score: asdict(value) for score, value in factor_metrics(codes, factors, **settings).scores.items()}
        for name, (codes, factors) in cases(samples, seed).items()
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=2000)
    arguments = options.parse_args()
    rows = measure(arguments.samples)
    for name, scores in rows.items():
        print(name)
        for score, value in scores.items():
            print(
                f"  {score:21} {value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"
                f" chance {value['chance']:.4f}, p {value['p_value']:.2f}"
            )
    write("factor_metrics", {"samples": arguments.samples, "curved_sap": CURVED_SAP, "rows": rows})


if __name__ == "__main__":
    main()

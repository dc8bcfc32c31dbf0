"""What a robustness curve holds, and its tables."""

import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mmdisentangle._core.json_values import json_value
from mmdisentangle.data.degradation import EVERY


@dataclass(frozen=True)
class RobustnessPoint:
    """Scores at one level of one kind of damage.

    Args:
        kind: ``"drop"`` or ``"noise"``.
        modality: the modality concerned; ``"*"`` for all of them, each by itself.
        level: probability that the modality is missing; standard deviation of the noise in units of the (standardised)
            inputs.
        missing: share of the samples' modalities that really were missing, in the mean.
        mean: score name to its mean over the draws.
        standard_deviation: the same for the standard deviation over the draws, with n - 1; 0 where nothing was drawn.
        draws: number of random draws.

    Example:
        >>> from mmdisentangle import create_model
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.evaluation import robustness_curve
        >>> data = make_shared_private(20, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> model = create_model("late_fusion", modalities=data.modalities)
        >>> curve = robustness_curve(model, data, drop_rates=(1,), noise_levels=(), repeats=2)
        >>> point = curve.curve("drop", "eeg")[-1]
        >>> point.level, point.missing, sorted(point.mean)
        (1.0, 0.5, ['mae', 'pearson'])
    """

    kind: Literal["drop", "noise"]
    modality: str
    level: float
    missing: float
    mean: dict[str, float]
    standard_deviation: dict[str, float]
    draws: int


@dataclass(frozen=True)
class RobustnessCurve:
    """Every point of the curves of one model on one data set.

    Args:
        points: in the order kind, modality, level.
        constant: scores of the best constant answer on the same samples: what is left when a model knows nothing.
        samples: number of samples.

    Example:
        >>> from mmdisentangle import create_model
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.evaluation import robustness_curve
        >>> data = make_shared_private(20, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> model = create_model("late_fusion", modalities=data.modalities)
        >>> found = robustness_curve(model, data, drop_rates=(0, 1), noise_levels=(), repeats=2)
        >>> [point.level for point in found.curve("drop", "eeg")]
        [0.0, 1.0]
        >>> round(found.constant["mae"], 2)
        0.74
    """

    points: tuple[RobustnessPoint, ...]
    constant: dict[str, float]
    samples: int

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores."""
        return tuple(self.points[0].mean)

    def curve(self, kind: str, modality: str) -> list[RobustnessPoint]:
        """Return the points of one curve, by rising level."""
        return [point for point in self.points if (point.kind, point.modality) == (kind, modality)]

    def curves(self) -> list[tuple[str, str]]:
        """Return kind and modality of every curve."""
        return list(dict.fromkeys((point.kind, point.modality) for point in self.points))

    def area(self, kind: str, modality: str, score: str) -> float:
        """Return the mean score over the range of levels: the area under the curve over its width."""
        points = self.curve(kind, modality)
        width = points[-1].level - points[0].level
        if width == 0:
            return points[0].mean[score]
        steps = itertools.pairwise(points)
        return sum((b.level - a.level) * (a.mean[score] + b.mean[score]) / 2 for a, b in steps) / width

    def to_markdown(self) -> str:
        """Return one table per kind and score: a row per modality, a column per level, and the mean over the levels."""
        parts = []
        for kind, heading in (("drop", "probability that it is missing"), ("noise", "noise, in deviations")):
            modalities = [modality for found, modality in self.curves() if found == kind]
            for score in self.scores if modalities else ():
                levels = [point.level for point in self.curve(kind, modalities[0])]
                head = " | ".join(f"{level:g}" for level in levels)
                parts += [
                    f"### {score} against {heading}\n",
                    f"| modality | {head} | mean over levels |",
                    "|---" * (len(levels) + 2) + "|",
                    *(self._row(kind, modality, score) for modality in modalities),
                    f"\nThe best constant answer: {_text(self.constant[score])}.\n",
                ]
        return "\n".join(parts)

    def write(self, directory: str | Path, *, title: str = "robustness") -> None:
        """Write ``robustness.json``, ``robustness.md`` and ``robustness.png``."""
        from mmdisentangle.evaluation.robustness_figure import plot_robustness

        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        areas = [
            {
                "kind": kind,
                "modality": modality,
                "mean": {s: self.area(kind, modality, s) for s in self.scores},
            }
            for kind, modality in self.curves()
        ]
        content = json_value({**asdict(self), "mean_over_levels": areas})
        (folder / "robustness.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / "robustness.md").write_text(f"## {title}\n\n{self.to_markdown()}", encoding="utf-8")
        plot_robustness(self, folder / "robustness.png", title=title)

    def _row(self, kind: str, modality: str, score: str) -> str:
        cells = [
            _text(point.mean[score])
            + (f" ± {point.standard_deviation[score]:.3f}" if point.draws > 1 and point.level else "")
            for point in self.curve(kind, modality)
        ]
        return f"| {label_of(modality)} | {' | '.join(cells)} | {_text(self.area(kind, modality, score))} |"


def label_of(modality: str) -> str:
    """Return what a table or a legend calls a modality."""
    return "every modality" if modality == EVERY else modality


def _text(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"

"""A folder with one run per seed, and their mean."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmdisentangle._core.errors import SettingError
from mmdisentangle.training.plots import mean_and_deviation, plot_seeds
from mmdisentangle.training.runs import RunFolder


@dataclass(frozen=True)
class SeedsFolder:
    """``seed-<n>/`` for each run, ``metrics.json`` with mean and standard deviation, ``scores.png``.

    Args:
        path: the folder.
    """

    path: Path

    def run(self, seed: int) -> RunFolder:
        """Return the folder of one seed."""
        return RunFolder(self.path / f"seed-{seed}")

    def begin(self, *, overwrite: bool = False) -> None:
        """Make the folder ready; runs that are in it stay, to be resumed or replaced one by one.

        Raises:
            SettingError: the folder holds a finished series, or something else.
        """
        if self.path.exists():
            ours = self.path.is_dir() and all(
                entry.name.startswith("seed-") or entry.name in {"metrics.json", "metrics.json.part", "scores.png"}
                for entry in self.path.iterdir()
            )
            if not ours:
                raise SettingError(
                    f"run folder: {self.path} exists and is not a folder of runs with several seeds; "
                    "choose another --out."
                )
            if (self.path / "metrics.json").exists():
                if not overwrite:
                    raise SettingError(
                        f"run folder: {self.path} holds a finished series of runs; use --overwrite to replace it, "
                        "or another --out."
                    )
                (self.path / "metrics.json").unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)

    def finish(self, scores: Mapping[int, Mapping[str, float | None]], *, title: str) -> dict[str, dict[str, float]]:
        """Write the summary of the test scores of every seed.

        Returns:
            Score to its ``mean`` and ``standard_deviation`` (of the sample, with n - 1) over the seeds.
        """
        known = {
            seed: {name: math.nan if value is None else value for name, value in values.items()}
            for seed, values in scores.items()
        }
        summary = {}
        for name in next(iter(known.values())):
            mean, deviation = mean_and_deviation([values[name] for values in known.values()])
            summary[name] = {"mean": mean, "standard_deviation": deviation}
        plot_seeds(known, self.path / "scores.png", title=title)
        RunFolder(self.path).write_json("metrics.json", {"status": "complete", "test": scores, "summary": summary})
        return summary

"""Several models on the same data: same splits, same budget, several seeds; what they reach and what they cost."""

import math
import multiprocessing
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmdisentangle._core.errors import MMDisentangleError, SettingError, UnknownNameError, nearest_names
from mmdisentangle._core.json_values import json_value
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.evaluation.constant import constant_scores
from mmdisentangle.models import list_models
from mmdisentangle.training.config import Config
from mmdisentangle.training.fitting import fit
from mmdisentangle.training.plots import mean_and_deviation, plot_comparison
from mmdisentangle.training.preparation import check_model_settings, check_scores
from mmdisentangle.training.runs import RunFolder, describe

_COSTS = ("seconds_per_epoch", "memory")


@dataclass(frozen=True)
class Row:
    """One model over all seeds.

    Args:
        model: its name.
        parameters: number of parameters.
        scores: part (``"validation"`` or ``"test"``) and score to one value per seed; NaN where undefined.
        epochs: chosen epoch of each seed.
        costs: ``seconds_per_epoch`` and ``memory`` (MiB at the peak, see `Cost`) to one value per seed.
    """

    model: str
    parameters: int
    scores: Mapping[str, Mapping[str, Sequence[float]]]
    epochs: Sequence[int]
    costs: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        data: name of the data set.
        samples: part to its number of samples.
        seeds: one run of each model for each.
        rows: the models, in the order they were asked for.
        constant: test scores of the best constant answer, which needs no input at all.
        threads: threads that each run computed with.
    """

    data: str
    samples: Mapping[str, int]
    seeds: Sequence[int]
    rows: Sequence[Row]
    constant: Mapping[str, float]
    threads: int

    def to_markdown(self) -> str:
        """Return a table: a row per model, mean ± standard deviation over the seeds."""
        names = list(self.rows[0].scores["test"])
        head = ["model", *(f"test {name}" for name in names), *(f"validation {names[0]}",), "parameters"]
        head += ["chosen epoch", "seconds an epoch", "memory, MiB"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for row in self.rows:
            cells = [row.model, *(_spread(row.scores["test"][name]) for name in names)]
            cells.append(_spread(row.scores["validation"][names[0]]) if "validation" in row.scores else "")
            cells += [f"{row.parameters:,}", _spread(row.epochs, 0)]
            cells += [_range(row.costs["seconds_per_epoch"], 2), _range(row.costs["memory"], 0)]
            lines.append(f"| {' | '.join(cells)} |")
        constant = ["best constant answer", *(_spread([self.constant[name]]) for name in names)]
        lines.append(f"| {' | '.join(constant + [''] * (len(head) - len(constant)))} |")
        sizes = ", ".join(f"{count} {part}" for part, count in self.samples.items())
        seeds = f"seeds {', '.join(map(str, self.seeds))}"
        note = (
            f"{self.data}: {sizes} samples; {seeds}: mean ± standard deviation (n - 1). Every model has the same "
            "splits, epochs, batches and optimiser; the epoch is chosen on validation data. Time and memory: median "
            f"(range), {self.threads} thread(s) a run; memory is the highest of the whole process."
        )
        return "\n".join([*lines, "", note, ""])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types; NaN is None."""
        rows = []
        for row in self.rows:
            parts = {
                part: {name: _summary(values) for name, values in scores.items()} for part, scores in row.scores.items()
            }
            rows.append(
                {
                    "model": row.model,
                    "parameters": row.parameters,
                    **parts,
                    "epoch": list(row.epochs),
                    **{name: _summary(values) for name, values in row.costs.items()},
                }
            )
        found: dict[str, Any] = json_value(
            {
                "data": self.data,
                "samples": self.samples,
                "seeds": self.seeds,
                "threads": self.threads,
                "rows": rows,
                "constant": self.constant,
            }
        )
        return found

    def write(self, directory: str | Path) -> None:
        """Write ``comparison.json``, ``comparison.md`` and ``comparison.png``."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.md").write_text(self.to_markdown(), encoding="utf-8")
        scores = {row.model: row.scores["test"] for row in self.rows}
        costs = {row.model: row.costs for row in self.rows}
        title = f"{self.data}: test scores of {len(self.seeds)} seeds, and costs"
        plot_comparison(scores, costs, self.constant, folder / "comparison.png", title=title)
        RunFolder(folder).write_json("comparison.json", self.to_json())


def compare(
    models: Sequence[str],
    *,
    train: MultimodalDataset,
    test: MultimodalDataset,
    validation: MultimodalDataset | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    config: Config | None = None,
    configs: Mapping[str, Config] | None = None,
    out: str | Path = "runs/comparison",
    source: str | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    report: Callable[[str, int, Mapping[str, Any]], None] | None = None,
) -> Comparison:
    """Train every model with every seed, each in a process of its own, and put the scores side by side.

    The seed decides the split of the training data, so all models have the same validation samples; their epochs,
    batches and optimiser are those of ``config``. Nothing is chosen on test data: each run scores its one choice there,
    once. Finished runs in ``out`` are kept and interrupted ones resumed, so the same call goes on where it stopped.

    Args:
        models: names in the zoo.
        train: training data; a validation part is taken from it where ``validation`` is None.
        test: test data.
        validation: data to choose the epoch by.
        seeds: one run of each model for each.
        config: settings of every run.
        configs: settings of single models instead.
        out: folder: ``<model>/seed-<n>`` for each run, and the three files of `Comparison.write`.
        source: what the run folders note as the origin of the data.
        jobs: runs at a time. Times are only comparable where as many processors are free.
        overwrite: train anew what is there.
        report: called with model, seed and the content of its ``metrics.json`` as each run ends.

    Returns:
        The comparison, which has been written to ``out``.

    Raises:
        UnknownNameError: a model that is not in the zoo.
        SettingError: a model or seed twice; runs in ``out`` with other settings.
    """
    _check_names(models, seeds)
    base = config or Config()
    chosen = {model: (configs or {}).get(model, base) for model in models}
    folder = Path(out)
    calls = {
        (model, seed): (model, replace(chosen[model], seed=seed), folder / model / f"seed-{seed}")
        for seed in seeds
        for model in models
    }
    _check_settings(chosen, train)
    identity = describe(models[0], train, source, {})
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for key, (model, settings, path) in calls.items():
        # Before the first of many hours: is every folder ours?
        if not overwrite and RunFolder(path).status == "complete":
            RunFolder(path).check_same(settings, {**identity, "model": model})
            found[key] = RunFolder(path).read_json("metrics.json")
    # A fresh process for each run: its memory is its own, and no run inherits the state of another.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = {
            key: pool.submit(_run, *call, train, validation, test, source, overwrite, torch.get_num_threads())
            for key, call in calls.items()
            if key not in found
        }
        try:
            for key, future in futures.items():
                found[key] = future.result()
                if report is not None:
                    report(*key, found[key])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    rows = [_row(model, [found[model, seed] for seed in seeds]) for model in models]
    samples = {part: count for part, count in found[models[0], seeds[0]]["samples"].items() if count}
    comparison = Comparison(
        train.name, samples, tuple(seeds), rows, constant_scores(test, base.training.metrics), torch.get_num_threads()
    )
    comparison.write(folder)
    return comparison


def _run(
    model: str,
    config: Config,
    path: Path,
    train: MultimodalDataset,
    validation: MultimodalDataset | None,
    test: MultimodalDataset,
    source: str | None,
    overwrite: bool,
    threads: int,
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    fit(
        config,
        model=model,
        train=train,
        validation=validation,
        test=test,
        out=path,
        overwrite=overwrite,
        source=source,
    )
    metrics: dict[str, Any] = RunFolder(path).read_json("metrics.json")
    return metrics


def _row(model: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    def over_seeds(values: Sequence[Any]) -> list[float]:
        return [math.nan if value is None else float(value) for value in values]

    parts = runs[0]["scores"]
    return Row(
        model=model,
        parameters=runs[0]["parameters"],
        scores={
            part: {name: over_seeds([run["scores"][part][name] for run in runs]) for name in names}
            for part, names in parts.items()
        },
        epochs=[run["epoch"] for run in runs],
        costs={name: over_seeds([run["cost"].get(name) for run in runs]) for name in _COSTS},
    )


def _check_names(models: Sequence[str], seeds: Sequence[int]) -> None:
    if not models or not seeds:
        raise SettingError("compare: give at least one model and one seed.")
    for model in models:
        if model not in list_models():
            raise UnknownNameError(f"compare: no model is called {model!r}{nearest_names(model, list_models())}")
    for argument, values in (("models", models), ("seeds", seeds)):
        if len(set(values)) != len(values):
            raise SettingError(f"compare: {argument} must be distinct, got {list(values)}.")


def _check_settings(configs: Mapping[str, Config], train: MultimodalDataset) -> None:
    for model, config in configs.items():
        check_scores(config, train)
        try:
            check_model_settings(config, model, train)
        except MMDisentangleError as error:
            raise SettingError(
                f"compare: {error} What not all models take is given to one of them: MODEL:KEY=VALUE, for instance "
                "--set rtil:model.hidden_features=32."
            ) from error


def _summary(values: Sequence[float]) -> dict[str, Any]:
    mean, deviation = mean_and_deviation(values)
    return {"mean": mean, "standard_deviation": deviation, "values": [float(value) for value in values]}


def _range(values: Sequence[float], digits: int) -> str:
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return ""
    texts = [f"{value:,.{digits}f}" for value in (statistics.median(known), known[0], known[-1])]
    return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]}..{texts[2]})"


def _spread(values: Sequence[float], digits: int = 3) -> str:
    mean, deviation = mean_and_deviation(values)
    if math.isnan(mean):
        return "undefined"
    return f"{mean:,.{digits}f}" + (f" ± {deviation:,.{digits}f}" if len(values) > 1 else "")

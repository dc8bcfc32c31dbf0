"""Benchmarks of many trainings: command line, finished runs kept on disk, processes, means over seeds."""

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

Run = dict[str, Any]


def parser(description: str | None, rows: Iterable[str], data: str, cache: Path) -> argparse.ArgumentParser:
    """The arguments that all of them take."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--data", type=Path, required=True, help=data)
    result.add_argument("--rows", nargs="+", choices=rows, default=list(rows))
    result.add_argument("--seeds", type=int, default=5)
    result.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    result.add_argument("--cache", type=Path, default=cache, help="where finished runs are kept")
    result.add_argument("--quick", action="store_true", help="one seed, two epochs, nothing kept")
    result.add_argument(
        "--validate", nargs="+", metavar=("ROW", "key=value"), help="score on parts of the training data, not the test"
    )
    result.add_argument(
        "--set", dest="settings", nargs="*", default=[], help="training settings, as of the command line"
    )
    return result


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Arguments, with ``--data``, where it is given, a file that exists."""
    arguments = parser.parse_args()
    if arguments.data is not None and not arguments.data.is_file():
        parser.error(f"--data: {arguments.data} is no file; the recordings are not part of this project.")
    return arguments


def model_settings(given: Iterable[str]) -> dict[str, Any]:
    """``key=value`` entries with values read as YAML."""
    return {key: yaml.safe_load(value) for key, _, value in (entry.partition("=") for entry in given)}


def cached(path: Path, run: Callable[..., Run], report: Callable[[Run], str], **arguments: Any) -> Run:
    """``run(**arguments)``, unless the file holds its result already."""
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    result = run(**arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(result), encoding="utf-8")
    unfinished.replace(path)
    print(report(result), flush=True)
    return result


def in_processes(calls: Sequence[Callable[[], Run]], workers: int) -> list[Run]:
    """Results of the calls, in their order, so many at a time."""
    with ProcessPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def summary(runs: Sequence[Run], scores: Iterable[str]) -> dict[str, Any]:
    """Mean and standard deviation of every score over seeds; None where a run has no such score."""
    result: dict[str, Any] = {"parameters": runs[0]["parameters"], "seeds": [run["seed"] for run in runs]}
    for name in scores:
        result[name] = over_seeds([run[name] for run in runs])
    return result


def over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and standard deviation of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(known) if known else None,
        "std": None if not known else statistics.stdev(known) if len(known) > 1 else 0.0,
        "values": list(values),
    }

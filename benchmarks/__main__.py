"""Speed and memory of every component and model, in ratios and against the length.

    python -m benchmarks                    # on the CPU, one thread, at most a quarter of an hour
    python -m benchmarks --device cuda      # everything on a GPU, compiled providers included
    python -m benchmarks --quick            # does it run? writes nothing
    python -m benchmarks --headlines        # the promised ratios alone, anew, beside the rows that are there
    python -m benchmarks --missing          # the cases alone that have no rows yet, beside the rows that are there
    python -m benchmarks --check            # do the headline ratios still hold? writes nothing
    python -m benchmarks --report           # tables and plots of the documentation from the committed results

Results go to benchmarks/results/speed_<device>.json, checked against benchmarks/speed/schema.json, and from there into
docs/speed.md and docs/_static/speed. Accuracies are measured by other modules: basic_motions, utd_mhad, mmmo.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.speed import gpu, guard, record, report
from benchmarks.speed.case import Case, Setting
from benchmarks.speed.components import COMPONENTS
from benchmarks.speed.headlines import HEADLINES
from benchmarks.speed.measuring import fitted_exponent
from benchmarks.speed.models import MODELS
from benchmarks.speed.suite import Row, run_case, run_headlines

SEED = 0
# Seconds for a length of a case, all providers and rounds together.
BUDGET = {"cpu": 2.0, "cuda": 3.0}
# Seconds for the rounds of a headline's case.
HEADLINE_BUDGET = 30.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; at least 1")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases alone, and no headlines; writes nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="short lengths, little time; writes nothing")
    what.add_argument("--headlines", action="store_true", help="measure the headline ratios of the CPU alone")
    what.add_argument("--missing", action="store_true", help="measure the cases that have no rows yet, and add them")
    what.add_argument("--check", action="store_true", help="compare the headline ratios with the committed ones")
    what.add_argument("--report", action="store_true", help="write tables and plots from the committed results")
    found = parser.parse_args()
    if found.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU.")
    if found.threads < 1:
        parser.error(f"--threads: must be at least 1, got {found.threads}.")
    if (found.check or found.headlines) and (found.only or found.device != "cpu"):
        parser.error(
            "--headlines and --check take all ratios of the CPU; they go with neither --only nor --device cuda."
        )
    known = [case.name for case in (*COMPONENTS, *MODELS)]
    for name in found.only or ():
        if name not in known:
            parser.error(f"--only: no case is called {name!r}; there are {', '.join(known)}.")
    return found


def main() -> int:
    given = arguments()
    if given.report:
        report.write()
        return 0
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    if given.check:
        return check()
    if given.headlines:
        return renew_headlines()
    if given.missing:
        return add_missing(device)
    cases = [case for case in (*COMPONENTS, *MODELS) if not given.only or case.name in given.only]
    if given.quick:
        cases = [replace(case, lengths=case.lengths[:2], compiled=False) for case in cases]
    headlines: list[Row] = []
    if not given.only:
        if device.type == "cpu":
            chosen = [headline for headline in HEADLINES if not given.quick or is_small(headline.case)]
            headlines = run_headlines(chosen, 1.0 if given.quick else HEADLINE_BUDGET)
        else:
            headlines = gpu.run_headlines()
        say(headlines)
    rows = measure(cases, Setting(device), 0.1 if given.quick else BUDGET[given.device])
    if given.quick or given.only:
        return 0
    results = {
        "environment": record.machine(device),
        "seed": SEED,
        "headlines": headlines,
        "rows": rows,
        "exponents": exponents(cases, rows),
    }
    path = record.result_path(device)
    record.write(path, results)
    print(f"wrote {path}")
    report.write()
    return 0


def renew_headlines() -> int:
    path = record.result_path(torch.device("cpu"))
    results = record.read(path)
    if results["environment"] != record.machine(torch.device("cpu")):
        print(
            "--headlines: the rows were measured elsewhere; measure all of them (python -m benchmarks).",
            file=sys.stderr,
        )
        return 1
    results["headlines"] = run_headlines(HEADLINES, HEADLINE_BUDGET)
    say(results["headlines"])
    record.write(path, results)
    report.write()
    return 0


def add_missing(device: torch.device) -> int:
    path = record.result_path(device)
    results = record.read(path)
    if results["environment"] != record.machine(device):
        print(
            "--missing: the rows were measured elsewhere; measure all of them (python -m benchmarks).", file=sys.stderr
        )
        return 1
    cases = [*COMPONENTS, *MODELS]
    known = {row["case"] for row in results["rows"]}
    new = [case for case in cases if case.name not in known]
    rows = [*results["rows"], *measure(new, Setting(device), BUDGET[device.type])]
    order = [case.name for case in cases]
    # In the order of the cases; what no case measures any more goes.
    results["rows"] = sorted((row for row in rows if row["case"] in order), key=lambda row: order.index(row["case"]))
    results["exponents"] = exponents(cases, results["rows"])
    record.write(path, results)
    report.write()
    return 0


def is_small(case: Case) -> bool:
    return case.batch * case.lengths[0] * case.features < 1_000_000


def check() -> int:
    committed = record.read(record.result_path(torch.device("cpu")))["headlines"]
    current = run_headlines(HEADLINES, HEADLINE_BUDGET / 3)
    say(current)
    found = guard.regressions(committed, current)
    for line in found:
        print(f"worse than committed: {line}", file=sys.stderr)
    if not found:
        seconds, in_bytes = (f"{guard.TOLERANCE[quantity]:.0%}" for quantity in ("seconds", "bytes"))
        print(f"{len(committed)} ratios hold, within {seconds} (bytes: {in_bytes})")
    return 1 if found else 0


def measure(cases: Sequence[Case], setting: Setting, budget: float) -> list[Row]:
    rows: list[Row] = []
    for case in cases:
        started = time.perf_counter()
        own = run_case(case, setting, budget)
        rows += own
        print(f"{case.name}: {len(own)} rows, {time.perf_counter() - started:.0f} s", flush=True)
        for row in own:
            if "not_measured" in row:
                print(f"  {row['provider']}: {row['not_measured']}", flush=True)
    return rows


def exponents(cases: Sequence[Case], rows: Sequence[Row]) -> list[Row]:
    found = []
    for case in cases:
        own = [row for row in rows if row["case"] == case.name and "seconds" in row]
        for provider in dict.fromkeys(row["provider"] for row in own):
            points = [row for row in own if row["provider"] == provider]
            lengths = [row["length"] for row in points]
            shortest = 2_048 if case.growth == "linear" else 512
            found.append(
                {
                    "case": case.name,
                    "provider": provider,
                    "growth": case.growth,
                    "seconds": fitted_exponent(lengths, [row["seconds"]["both"]["median"] for row in points], shortest),
                    "bytes": fitted_exponent(lengths, [row["peak_bytes"] for row in points], shortest),
                }
            )
    return found


def say(headlines: Sequence[Row]) -> None:
    for row in headlines:
        ratio, word = row["ratio"], "at most" if row["at_most"] else "at least"
        print(
            f"{row['headline']}: {ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f}), goal {word} "
            f"{row['goal']:g}: {'reached' if row['reached'] else 'MISSED'}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())

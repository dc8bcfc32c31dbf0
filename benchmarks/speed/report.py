"""Tables and plots of the documentation, made from the committed results."""

from pathlib import Path
from typing import Any

from benchmarks._measure import RESULTS
from benchmarks.speed import record
from benchmarks.speed.case import LIBRARY

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "speed.md"
README = DOCS.parent / "README.md"
FIGURES = DOCS / "_static" / "speed"

# The README's table stands between these.
_MARKS = "<!-- ratios -->", "<!-- end of ratios -->"

_HEAD = """# Speed and memory

This page is written by `python -m benchmarks --report` from the files under `benchmarks/results/`; `make bench`
measures anew (CPU, one thread, a quarter of an hour), `python -m benchmarks --device cuda` does on a GPU, and
`make bench-check` fails when a ratio below got worse.

Values and gradients of a component's providers are compared before they are timed (in float64; compiled and fused ones
in float32), and one that differs gets no number. Whole models and training steps draw dropout masks and are not
compared here: the tests compare them. Providers take turns, round by round; numbers are medians with the range of the
rounds. A provider's lengths end where one pass would take longer than two seconds. TransformerConv lists its edges in
every pass. Peak memory is the largest sum of live tensor bytes beyond what was there before (CPU: from the allocator's
own events).
"""


def write() -> None:
    """Write the page and its figures from every result file there is, and the README's table from that of the CPU."""
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    from benchmarks.speed import figures

    for path in _files():
        results = record.read(path)
        for case in dict.fromkeys(row["case"] for row in results["rows"]):
            rows = [row for row in results["rows"] if row["case"] == case and "seconds" in row]
            figures.draw(case, rows, FIGURES / path.stem.removeprefix("speed_") / f"{case}.svg")
    print(f"wrote {PAGE} and {FIGURES}")


def with_table(readme: str) -> str:
    """Return the README's text with its table of ratios renewed."""
    before, rest = readme.split(_MARKS[0])
    after = rest.split(_MARKS[1])[1]
    rows = record.read(RESULTS / "speed_cpu.json")["headlines"]
    lines = ["| what | against | B, T, D | ratio (range of rounds) |", "|---|---|---|---|", *map(_short, rows)]
    return "\n".join([before + _MARKS[0], *lines, _MARKS[1] + after])


def _short(row: dict[str, Any]) -> str:
    ratio, sizes = row["ratio"], f"{row['batch']}, {row['length']:,}, {row['features']}"
    rounds = "" if ratio["min"] == ratio["max"] else f" ({ratio['min']:.2g}..{ratio['max']:.2g})"
    unit = "bytes" if row["quantity"] == "bytes" else "seconds"
    return f"| {row['headline']} | {unit} of {row['slow']} / {row['fast']} | {sizes} | {ratio['median']:.2f}{rounds} |"


def page() -> str:
    """Text of the page."""
    return "\n".join([_HEAD, *(_section(path) for path in _files())])


def _files() -> list[Path]:
    return sorted(RESULTS.glob("speed_*.json"))


def _section(path: Path) -> str:
    results = record.read(path)
    machine = results["environment"]
    device, folder = machine.get("gpu", "CPU"), f"_static/speed/{path.stem.removeprefix('speed_')}"
    lines = [
        f"## {device}",
        "",
        f"{machine['threads']} thread, {machine['allocator']}, {machine['machine']}, torch {machine['torch']}, "
        f"Python {machine['python']}.",
        "",
        "### Ratios",
        "",
        "| what | B, T (or samples), D | compared | ratio | goal |",
        "|---|---|---|---|---|",
        *(_headline(row) for row in results["headlines"]),
        "",
        "### Growth with the length",
        "",
        "Exponents of time and peak memory, forward and backward together, fitted to lengths from 2,048 on (512",
        "where time grows quadratically): 1 is linear. The last columns are the longest length measured.",
        "",
        "| component | provider | time | memory | T | seconds | MB | per second |",
        "|---|---|---|---|---|---|---|---|",
        *(_growth(row, results["rows"]) for row in results["exponents"]),
        "",
        "### Against other packages and plain code",
        "",
        "Median seconds, and peak memory, of the other over the library's at the longest length that both were run at;",
        "below 1 the other is faster or smaller.",
        "",
        "| component | other | T | time | memory |",
        "|---|---|---|---|---|",
        *_comparisons(results["rows"]),
        "",
        *_unmeasured(results["rows"]),
        "### Plots",
        "",
        *(
            f"![{case}: time, memory and throughput against the length]({folder}/{case}.svg)\n"
            for case in dict.fromkeys(row["case"] for row in results["rows"])
        ),
    ]
    return "\n".join(lines)


def _headline(row: dict[str, Any]) -> str:
    ratio = row["ratio"]
    rounds = "" if ratio["min"] == ratio["max"] else f" ({ratio['min']:.2f}..{ratio['max']:.2f})"
    missed = "" if row["reached"] else ", **missed**"
    unit = "peak bytes" if row["quantity"] == "bytes" else "seconds"
    goal = f"{'at most' if row['at_most'] else 'at least'} {row['goal']:g}{missed}"
    sizes = f"{row['batch']}, {row['length']:,}, {row['features']}"
    compared = f"{unit}: {row['slow']} over {row['fast']}"
    return f"| {row['headline']} | {sizes} | {compared} | {ratio['median']:.2f}{rounds} | {goal} |"


def _growth(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    last = [
        entry
        for entry in rows
        if (entry["case"], entry["provider"]) == (row["case"], row["provider"]) and "seconds" in entry
    ][-1]
    exponents = ["" if row[key] is None else f"{row[key]:.2f}" for key in ("seconds", "bytes")]
    seconds = last["seconds"]["both"]["median"]
    return (
        f"| {row['case']} | {row['provider']} | {' | '.join(exponents)} | {last['length']:,} | {seconds:.3g} | "
        f"{last['peak_bytes'] / 1e6:,.1f} | {last['frames_per_second']:,.0f} {last['axis']} |"
    )


def _comparisons(rows: list[dict[str, Any]]) -> list[str]:
    found = []
    measured = {(row["case"], row["provider"], row["length"]): row for row in rows if "seconds" in row}
    for case, provider in dict.fromkeys((row["case"], row["provider"]) for row in rows):
        lengths = [
            length for c, p, length in measured if (c, p) == (case, provider) and (case, LIBRARY, length) in measured
        ]
        if provider.startswith(LIBRARY) or not lengths:
            continue
        other, own = measured[case, provider, max(lengths)], measured[case, LIBRARY, max(lengths)]
        time = other["seconds"]["both"]["median"] / own["seconds"]["both"]["median"]
        memory = other["peak_bytes"] / own["peak_bytes"] if own["peak_bytes"] else float("inf")
        found.append(f"| {case} | {other.get('source', provider)} | {max(lengths):,} | {time:.2f} | {memory:.2f} |")
    return found


def _unmeasured(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"- {row['case']}, {row['provider']}: {row['not_measured']}" for row in rows if "not_measured" in row]
    return ["Without a number:", "", *lines, ""] if lines else []

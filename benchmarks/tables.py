"""Tables of the documentation, written from the committed results.

    python -m benchmarks.tables

Renews what stands between ``<!-- table NAME -->`` and ``<!-- end of table -->`` in the README and in docs; and single
numbers of `benchmarks.deviations` between ``<!-- effect METHOD SCORE: ROW -->``, or ``score`` for what the row reaches
itself, and ``<!-- end -->``. A test fails where one is not that of its results.
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks._measure import RESULTS

ROOT = RESULTS.parents[1]
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
NUMBER = re.compile(r"(<!-- (effect|score) (\w+) (\w+): ([^>]+?) -->).*?(<!-- end -->)")
# With no-break spaces: a number and its spread stay on one line.
PLUS_MINUS = "\u00a0±\u00a0"
NAMES = {
    "rtil": "RTIL",
    "rtil_published": "RTIL, as released",
    "mea": "MEA",
    "misa": "MISA",
    "mult": "MulT",
    "late_fusion": "late fusion",
    "early_fusion": "early fusion",
}


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = list(head)
    return "".join(f"| {' | '.join(row)} |\n" for row in (cells, ["---"] * len(cells), *rows)).replace(" --- ", "---")


def spread(score: Mapping[str, Any], digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    deviation = score["std"] if "std" in score else score["standard_deviation"]
    return f"{score['mean']:.{digits}f}{PLUS_MINUS}{deviation:.{digits}f}"


def difference(score: Mapping[str, Any], digits: int = 3) -> str:
    """Mean and standard deviation over seeds of a difference."""
    # Adding 0 makes 0 of -0.
    mean = round(score["mean"], digits) + 0.0
    return f"{mean:+.{digits}f}{PLUS_MINUS}{score['std']:.{digits}f}"


def extent(cost: Mapping[str, Any], digits: int) -> str:
    """Median and range over seeds."""
    low, middle, high = min(cost["values"]), statistics.median(cost["values"]), max(cost["values"])
    return f"{middle:.{digits}f}\u00a0({low:.{digits}f}..{high:.{digits}f})"


def utd_mhad() -> str:
    named = {**NAMES, "rtil": "RTIL, corrected", "late_fusion": "late fusion of the same encoders"}
    named |= {"skeleton": "skeleton alone", "acc": "accelerometer alone", "gyro": "gyroscope alone"}
    rows = (
        (
            named[name],
            spread(row["accuracy"]),
            spread(row["macro_f1"]),
            spread(row["training_accuracy"]),
            f"{row['parameters']:,}",
        )
        for name, row in read("utd_mhad")["rows"].items()
    )
    return table(("row", "test accuracy", "macro F1", "accuracy in training", "parameters"), rows)


def utd_mhad_ablations() -> str:
    named = {
        "mea": ("MEA", ""),
        "no_psa": ("no predictive self-attention", "`psa_layers=0`"),
        "no_hca": ("no hierarchical attention", "`hca_layers=0`"),
        "no_adversary": ("no adversarial terms", "`adversarial_weight=0`"),
        "no_importance": ("no importance weights", "`importance_weights=False`"),
        "concat": ("codes joined instead of graphs", '`fusion="concat"`'),
        "add": ("codes added", '`fusion="add"`'),
        "multiply": ("codes multiplied", '`fusion="multiply"`'),
    }
    rows = (
        (*named[name], spread(row["accuracy"]), f"{row['parameters']:,}")
        for name, row in read("utd_mhad_ablations")["rows"].items()
    )
    return table(("row", "setting", "test accuracy", "parameters"), rows)


def _comparison(name: str, head: tuple[str, ...], scores: tuple[tuple[str, str], ...]) -> str:
    results = read(name)
    rows = [
        (
            NAMES[row["model"]],
            *(spread(row[part][score]) for part, score in scores),
            f"{row['parameters']:,}",
            extent(row["seconds_per_epoch"], 1),
            extent(row["memory"], 0),
        )
        for row in results["rows"]
    ]
    constant = [results["constant"][score] if part == "test" else "" for part, score in scores]
    shown = ("undefined" if score is None else score and f"{score:.3f}" for score in constant)
    return table(
        ("model", *head, "parameters", "seconds an epoch", "memory, MiB"),
        [*rows, ("best constant answer", *shown, "", "", "")],
    )


def comparison_utd_mhad() -> str:
    scores = (("test", "accuracy"), ("test", "macro_f1"), ("validation", "accuracy"))
    return _comparison("comparison_utd_mhad", ("test accuracy", "test macro F1", "validation accuracy"), scores)


def comparison_mmmo() -> str:
    scores = (("test", "mae"), ("test", "pearson"), ("validation", "mae"))
    return _comparison("comparison_mmmo", ("test MAE", "test Pearson", "validation MAE"), scores)


def _mmmo(protocol: str) -> str:
    named = {**NAMES, "late_fusion": "late fusion of the same encoders", "constant": "mean of the training targets"}
    named |= {name: f"{name} alone" for name in ("text", "audio", "vision")}
    rows = (
        (
            named[name],
            spread(row["mae"]),
            "undefined" if row["pearson"]["mean"] is None else spread(row["pearson"]),
            spread(row["accuracy"]),
            f"{row['parameters']:,}",
        )
        for name, row in read("mmmo")["protocols"][protocol].items()
    )
    return table(("row", "mean absolute error", "correlation", "accuracy at 3.5", "parameters"), rows)


def mmmo_complete() -> str:
    return _mmmo("complete")


def mmmo_with_missing_text() -> str:
    return _mmmo("with_missing_text")


def _leakage(name: str) -> str:
    head = {
        "task: Pearson": ("pearson", 3),
        "modality in shared": ("modality_in_shared", 2),
        "by a linear probe": ("modality_in_shared_linear", 2),
        "modality in private": ("modality_in_private", 2),
        "private factors in shared": ("private_in_shared", 2),
        "shared factors in shared": ("shared_in_shared", 2),
    }
    rows = (
        (row, *(spread(scores[score], digits) for score, digits in head.values()))
        for row, scores in read(name)["rows"].items()
    )
    return table(("row", *head), rows)


def disentanglement() -> str:
    return _leakage("disentanglement")


def disentanglement_terms() -> str:
    return _leakage("disentanglement_terms")


def _written(change: Mapping[str, Any]) -> str:
    """Settings of a row as a user would write them."""
    values = {key: str(v) if isinstance(v, bool) else json.dumps(v) for key, v in change["settings"].items()}
    written = ", ".join(f"{key}={value}" for key, value in values.items())
    return ", ".join(f"`{part}`" for part in (written, *change["training"]) if part) or "the default"


def _deviations(method: str) -> str:
    """Every row of a method, and its difference to its reference on UTD-MHAD."""
    recorded = read(f"deviations_utd_mhad_{method}")
    gaussian = None if method == "mea" else read(f"deviations_gaussian_{method}")
    rows = []
    for name, row in recorded["rows"].items():
        effect = recorded["effects"].get(name, {})
        label = _written(recorded["changes"][name])
        if name == "aligned":
            label = "streams resampled to one length"
        elif effect.get("against") == "aligned":
            label += ", resampled"
        rows.append(
            (
                label,
                spread(row["accuracy"]),
                difference(effect["accuracy"]) if effect else "",
                *_on_gaussian(gaussian, name),
            )
        )
    more = ("Gaussian: Pearson", "modality in shared, linear probe", "better probe", "private factors in shared")
    return table(("row", "UTD-MHAD: accuracy", "difference", *(more if gaussian else ())), rows)


def _on_gaussian(results: Mapping[str, Any] | None, row: str) -> list[str]:
    """What a row reaches on Gaussian data; empty where it is not measured there."""
    if results is None:
        return []
    shown = {"pearson": 3, "modality_in_shared_linear": 2, "modality_in_shared": 2, "private_in_shared": 2}
    found = results["rows"].get(row)
    return [spread(found[score], digits) if found else "" for score, digits in shown.items()]


def deviations_rtil() -> str:
    return _deviations("rtil")


def deviations_misa() -> str:
    return _deviations("misa")


def deviations_mea() -> str:
    return _deviations("mea")


def zoo() -> str:
    """Every model beside the others: what it scores within the one budget, and with a budget of its own."""
    own = {name: row["accuracy"] for name, row in read("utd_mhad")["rows"].items()}
    mmmo = {row["model"]: row["test"]["mae"] for row in read("comparison_mmmo")["rows"]}
    rows = (
        (
            f"`{row['model']}`",
            f"{row['parameters']:,}",
            spread(row["test"]["accuracy"]),
            spread(own[row["model"]]) if row["model"] in own else "",
            spread(mmmo[row["model"]]),
        )
        for row in read("comparison_utd_mhad")["rows"]
    )
    head = (
        "model",
        "parameters (UTD-MHAD)",
        "UTD-MHAD accuracy, 10 epochs",
        "40 epochs, augmented",
        "ICT-MMMO absolute error",
    )
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        utd_mhad,
        utd_mhad_ablations,
        comparison_utd_mhad,
        comparison_mmmo,
        mmmo_complete,
        mmmo_with_missing_text,
        disentanglement,
        disentanglement_terms,
        deviations_rtil,
        deviations_misa,
        deviations_mea,
        zoo,
    )
}


# Score of `benchmarks.deviations` to its data, its name there, and the digits that its spread deserves.
DEVIATION_SCORES = {
    "accuracy": ("utd_mhad", "accuracy", 3),
    "weighted_f1": ("utd_mhad", "weighted_f1", 3),
    "weighted_f1_swapped": ("utd_mhad", "weighted_f1_swapped", 3),
    "read_linearly": ("gaussian", "modality_in_shared_linear", 2),
}


def deviation(kind: str, method: str, score: str, row: str) -> str:
    """What a row reaches, or its difference to its reference, mean and standard deviation over seeds."""
    data, name, digits = DEVIATION_SCORES[score]
    results = read(f"deviations_{data}_{method}")
    if kind == "score":
        return spread(results["rows"][row][name], digits)
    return difference(results["effects"][row][name], digits)


def renewed(text: str) -> str:
    """Text of a page with its tables and numbers as the results are now."""
    text = TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text)
    return NUMBER.sub(lambda found: f"{found[1]}{deviation(*found.groups()[1:5])}{found[6]}", text)


def main() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if renewed(text) != text:
            page.write_text(renewed(text), encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

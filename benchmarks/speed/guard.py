"""Compares the ratios of this tree with the committed ones; absolute times of shared machines say nothing."""

from typing import Any

# Medians of ratios moved by up to a quarter between runs of one tree on a busy machine; bytes do not move.
TOLERANCE = {"seconds": 0.35, "bytes": 0.05}


def regressions(committed: list[dict[str, Any]], current: list[dict[str, Any]]) -> list[str]:
    """Say which ratios got worse by more than the tolerance, or are no longer measured."""
    now = {row["headline"]: row for row in current}
    found = []
    for row in committed:
        name, tolerance = row["headline"], TOLERANCE[row["quantity"]]
        if name not in now:
            found.append(f"{name}: no longer measured")
            continue
        before, after = row["ratio"]["median"], now[name]["ratio"]["median"]
        limit = before * (1 + tolerance) if row["at_most"] else before * (1 - tolerance)
        if after > limit if row["at_most"] else after < limit:
            found.append(f"{name}: {after:.2f}, committed {before:.2f}, limit {limit:.2f}")
    return found

"""The findings of a data file as plain text."""

from collections.abc import Mapping
from typing import Any


def render(findings: Mapping[str, Any]) -> str:
    """Return a page that reads well in a terminal and in a log."""
    lines = [f"{findings['path']}: {findings['format']}", f"SHA-256 {findings['sha256']}"]
    others = [name for name in findings["targets"] if name != findings["target"]]
    lines.append(f"target {findings['target']}" + (f" (also there: {', '.join(others)})" if others else ""))
    for name, split in findings["splits"].items():
        lines += ["", *_split(name, split)]
    return "\n".join(lines)


def _split(name: str, split: Mapping[str, Any]) -> list[str]:
    extras = [
        "aligned" if split["aligned"] else "",
        "ids" if split["ids"] else "",
        f"{split['groups']} groups" if split["groups"] else "",
        "raw text" if split["raw_text"] else "",
    ]
    lines = [f"{name}: " + ", ".join([f"{split['samples']} samples", *filter(None, extras)])]
    lines.append(f"  {split['target']['task']}: {_target(split['target'])}")
    rows = [_modality(modality, found) for modality, found in split["modalities"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(("  " + "  ".join([*cells, *row[5:]])).rstrip())
    lines += [f"  not read: {key}, {reason}" for key, reason in split["left_out"].items()]
    return lines


def _target(target: Mapping[str, Any]) -> str:
    if "counts" in target:
        return ", ".join(f"{name} {count}" for name, count in target["counts"].items())
    outputs = f"{target['outputs']} outputs, " if target["outputs"] > 1 else ""
    return f"{outputs}{target['min']:.4g} to {target['max']:.4g}, mean {target['mean']:.4g}"


def _modality(name: str, found: Mapping[str, Any]) -> list[str]:
    remarks = []
    if found["declared_lengths"]:
        remarks.append("lengths declared")
    if found["missing"]:
        remarks.append(f"missing in {found['missing']}")
    remarks += [f"{count} {kind}" for kind, count in found["nonfinite"].items() if count]
    if found["beyond_length"]["frames"]:
        remarks.append(f"{found['beyond_length']['frames']} frames beyond the declared length")
    if found["lengths_beyond_array"]:
        remarks.append(f"{found['lengths_beyond_array']} lengths beyond the array")
    padding = "no padding" if found["padding"] == "none" else f"padding {found['padding']}"
    shape = "[" + ", ".join(map(str, found["shape"])) + "]"
    return [name, found["dtype"], shape, _frames(found["lengths"]), padding, "; ".join(remarks)]


def _frames(lengths: Mapping[str, float] | None) -> str:
    if lengths is None:
        return "no frames"
    if lengths["min"] == lengths["max"]:
        return f"{lengths['max']} frames"
    return f"{lengths['min']}..{lengths['max']} frames, median {lengths['median']:g}"

"""Whether the adversary lives, from what was logged of it."""

import math
from collections.abc import Iterable

from mmdisentangle.evaluation._verdict import LITTLE, MUCH, Verdict
from mmdisentangle.evaluation.leakage_result import LeakageReport

# A discriminator that is always right, and sure of it: its loss in units of that of guessing.
_RIGHT, _SURE = 0.98, 0.05


def adversary_verdicts(report: LeakageReport) -> Iterable[Verdict]:
    """One verdict for every discriminator that was watched."""
    for name, seen in report.adversaries.items():
        question = f"Is the adversary {name!r} alive?"
        told, probe, strength, right, loss = (
            seen.get(key, math.nan) for key in ("above_chance", "probe", "strength", "accuracy", "loss_share")
        )
        readable = (probe - 1 / len(report.modalities)) / (1 - 1 / len(report.modalities))
        numbers = ", ".join(
            f"{label} {seen[key]:.2g}"
            for key, label in (
                ("accuracy", "accuracy"),
                ("loss_share", "loss in units of that of guessing"),
                ("gradient", "gradient that comes back"),
                ("rest", "beside that of the other terms"),
                ("strength", "strength"),
            )
            if key in seen
        )
        if strength == 0:
            yield Verdict(
                question,
                f"No: its strength is 0 ({numbers}).",
                "bad",
                "Set a schedule: --set training.reversal.schedule=dann.",
            )
        elif any(math.isnan(value) for value in seen.values()):
            yield Verdict(question, f"What was logged of it is undefined ({numbers}).", "unknown")
        elif "parameter_gradient" not in seen:
            yield Verdict(
                question,
                f"No: none of its parameters is trained ({numbers}).",
                "bad",
                "Set requires_grad of its parameters.",
            )
        elif seen["parameter_gradient"] == 0 or not seen.get("gradient", 0.0):
            yield Verdict(
                question,
                f"No: it gets no gradient, or gives none back ({numbers}).",
                "bad",
                "Is its loss in the total, with a weight? Are the codes that it reads detached, its parameters frozen, "
                "its output constant (a softmax over one logit)?",
            )
        elif told <= LITTLE and readable >= MUCH:
            yield Verdict(
                question,
                f"It guesses while the modality can be read: a fresh linear probe of the same codes has {probe:.2f} "
                f"({numbers}).",
                "bad",
                "It cannot follow, so its gradient says nothing: less dropout in the discriminator, a higher learning "
                "rate for it, more steps, a lower strength until it has learned.",
            )
        elif right >= _RIGHT and loss <= _SURE:
            yield Verdict(
                question,
                f"It always wins, so that next to nothing comes back through the reversal ({numbers}).",
                "bad",
                "The encoders cannot hide the modality from it: a higher strength from the start, a weaker "
                "discriminator, or a loss that does not fade (nn.MaximumMeanDiscrepancy).",
            )
        else:
            yield Verdict(question, f"Yes: {numbers}.", "good")

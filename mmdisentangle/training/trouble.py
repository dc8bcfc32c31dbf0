"""What is wrong with an adversary, from what was seen in an epoch, and what to do about it."""

import math

from mmdisentangle.training.adversary import Epoch

# An adversary that is nearly always right, and nearly sure of it.
_RIGHT, _UNSURE = 0.98, 0.02
# Shares of the way from chance to the ceiling: no better than guessing; well readable.
_AT_CHANCE, _READABLE = 0.1, 0.5


def values_of(seen: Epoch, modalities: int) -> dict[str, float]:
    """Return what can be logged of an epoch, by its short name."""
    values = {
        "accuracy": seen.accuracy,
        "above_chance": _above_chance(seen.accuracy, modalities),
        "loss": seen.loss,
        "loss_share": None if seen.loss is None else seen.loss / math.log(modalities),
        "gradient": seen.gradient if seen.connected else None,
        "rest": seen.rest,
        "parameter_gradient": seen.parameter_gradient,
        "strength": seen.strength,
        "probe": seen.probe,
    }
    return {name: value for name, value in values.items() if value is not None}


def find_trouble(seen: Epoch, modalities: int, *, has_parameters: bool = True) -> str | None:
    """Return what is wrong with an adversary in an epoch, None where nothing is.

    ``"not called"``, ``"detached"``, ``"frozen"``, ``"no gradient"``, ``"constant"``, ``"nothing comes back"``,
    ``"saturated"`` or ``"not learning"``.
    """
    if not seen.steps:
        return None
    if seen.traced and not seen.calls:
        return "no gradient" if has_parameters and not seen.parameter_gradient else None
    if not seen.calls:
        return "not called"
    if seen.frozen:
        return "frozen"
    if has_parameters and not seen.parameter_gradient:
        return "no gradient"
    if seen.spread == 0 and seen.steps > 1:
        return "constant"
    if not seen.connected:
        return "detached"
    if seen.strength and seen.gradient == 0:
        return "nothing comes back"
    if seen.accuracy is None or seen.unsure is None or not seen.strength:
        return None
    if seen.accuracy >= _RIGHT and seen.unsure <= _UNSURE:
        return "saturated"
    told, readable = _above_chance(seen.accuracy, modalities), _above_chance(seen.probe, modalities)
    if told is not None and readable is not None and told <= _AT_CHANCE and readable >= _READABLE:
        return "not learning"
    return None


def _above_chance(accuracy: float | None, modalities: int) -> float | None:
    return None if accuracy is None else (accuracy - 1 / modalities) / (1 - 1 / modalities)


def in_words(name: str, trouble: str, seen: Epoch, modalities: int) -> str:
    """Return one sentence: what is wrong with an adversary, and what to do."""
    about = f"adversary {name!r}"
    chance = _percent(1 / modalities if modalities else None)
    words = {
        "not called": f"{about} was never connected: in a whole epoch no code went through its gradient reversal; call "
        "it in the objective, and with reverse=True.",
        "detached": f"{about} was never connected: the codes it is given take no gradient, so nothing can teach the "
        "encoders; do not detach them, and compute them outside of torch.no_grad().",
        "frozen": f"{about} is dead: none of its parameters is trained; set requires_grad.",
        "no gradient": f"{about} is dead: its parameters got no gradient, or one of 0, in a whole epoch; is its loss "
        "part of the total, with a weight other than 0, and not one that its last layer makes constant (a softmax "
        "over one logit)?",
        "constant": f"{about} is dead: it gives every code the same answer; see to its initial weights and its "
        "learning rate.",
        "nothing comes back": f"{about} is dead: the gradient that reaches the codes through the reversal was 0 in a "
        "whole epoch; is its loss part of the total, and do its answers depend on the codes?",
        "strength": f"{about} has no strength: that of the reversal was 0 in every step so far, so the encoders learn "
        "nothing from it; see to the schedule (training.reversal) or call set_strength.",
        "saturated": f"{about} is saturated: it tells the modality of {_percent(seen.accuracy)} of the codes and is "
        "sure of it, so hardly any gradient is left for the encoders; raise the reversal strength or the weight of "
        "the term, or make the discriminator weaker.",
        "not learning": f"{about} is at chance because it does not learn, not because the codes hide their modality: "
        f"it tells that of {_percent(seen.accuracy)}, a fresh linear probe on the same codes of {_percent(seen.probe)} "
        f"(chance is {chance}); train it longer or faster, give it more width or less dropout, or lower the reversal "
        "strength.",
    }
    return words[trouble]


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"

"""What the numbers of a leakage report say, in plain words, and what to try."""

import math
from collections.abc import Iterable

from mmdisentangle.evaluation._adversary_verdict import adversary_verdicts
from mmdisentangle.evaluation._verdict import CLEARLY, LITTLE, MUCH, Status, Verdict
from mmdisentangle.evaluation.leakage_result import Block, LeakageReport, PartUse, ProbePair
from mmdisentangle.evaluation.scores import mode_of

_ALPHA = 0.05
_TOO_FEW = "Too few samples, groups or permutations to tell:"
_MORE = "More samples, more groups, more permutations."


def verdicts(report: LeakageReport) -> tuple[Verdict, ...]:
    """Answer every question that the report has numbers for.

    Args:
        report: what `leakage` returned.

    Returns:
        The answers, in the order in which they are to be read: whether the codes say anything at all comes first.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> _ = torch.manual_seed(0)
        >>> content = torch.randn(80, 2)
        >>> shared = {"text": content, "audio": content + 9}
        >>> private = {"text": torch.randn(80, 2), "audio": torch.randn(80, 2) + 9}
        >>> for verdict in verdicts(leakage(shared, private, permutations=40)):
        ...     print(f"{verdict.status:4}", verdict.question)
        good Do the codes say anything at all?
        bad  Are the shared codes free of the modality?
        good Do the private codes tell the modalities apart?
        good Are shared and private codes independent?
        good Do the modalities say the same in the shared space?
    """
    found = [_collapse(report), _modality_in_shared(report), *adversary_verdicts(report), _modality_in_private(report)]
    if report.task is not None:
        found += [_task(report), _use(report)]
    found += [_independence(report), _agreement(report), _time(report), *_factors(report)]
    return tuple(verdict for verdict in found if verdict is not None)


def _collapse(report: LeakageReport) -> Verdict:
    question = "Do the codes say anything at all?"
    constant = [str(health.block) for health in report.health if health.collapsed]
    faint = [str(health.block) for health in report.health if not health.collapsed and health.deviation < 0.01]
    thin = [str(h.block) for h in report.health if not h.collapsed and h.features >= 8 and h.effective_rank < 2]
    if constant:
        return Verdict(
            question,
            f"{_list(constant)} {_are(constant)} collapsed: the same for every sample. What probes do not read from "
            "them is not hidden, it was never there.",
            "bad",
            "Lower the weights of the terms that are smallest for equal codes (similarity, orthogonality, adversary), "
            "add a reconstruction, or a variance term (nn.VICRegLoss).",
        )
    if faint or thin:
        told = [f"{_list(faint)} change by less than a hundredth of their length"] if faint else []
        told += [f"{_list(thin)} vary along a single direction only (effective rank below 2)"] if thin else []
        return Verdict(
            question,
            f"{'; '.join(told)}.",
            "mixed",
            "Add a variance or decorrelation term (nn.VICRegLoss, nn.BarlowTwinsLoss), or lower the weight of the "
            "similarity term.",
        )
    ranks = ", ".join(f"{health.block} {health.effective_rank:.1f} of {health.features}" for health in report.health)
    return Verdict(question, f"All codes vary; effective ranks: {ranks}.", "good")


def _modality_in_shared(report: LeakageReport) -> Verdict | None:
    pair = report.probe("modality", "shared")
    if pair is None:
        return None
    question = "Are the shared codes free of the modality?"
    level, found = pair.best.normalized, pair.p_value <= _ALPHA
    if _collapsed(report, "shared") and not (found and level > LITTLE):
        return Verdict(
            question, "Shared codes are constant, so that nothing can be read from them.", "unknown", "See above."
        )
    if not found:
        if pair.least_p > _ALPHA or pair.best.normalized_interval[1] > MUCH:
            return Verdict(question, f"{_TOO_FEW} {_against_chance(pair)}.", "unknown", _MORE)
        return Verdict(question, f"The modality cannot be read from the shared codes: {_against_chance(pair)}.", "good")
    if level <= LITTLE:
        return Verdict(
            question, f"The modality can hardly be read from the shared codes: {_against_chance(pair)}.", "good"
        )
    hidden = pair.linear.normalized <= LITTLE
    note = " A linear probe does not see it." if hidden else ""
    return Verdict(
        question,
        f"The modality can be read from the shared codes: {_against_chance(pair)}.{note}",
        "mixed" if level < MUCH else "bad",
        "Look at the discriminator first (training.DiscriminatorMonitor): is it alive, does its gradient reach the "
        "encoders? Then raise the reversal strength or its weight, and match whole distributions "
        "(nn.MaximumMeanDiscrepancy, nn.CORALLoss) instead of a few moments.",
    )


def _modality_in_private(report: LeakageReport) -> Verdict | None:
    pair = report.probe("modality", "private")
    if pair is None:
        return None
    question = "Do the private codes tell the modalities apart?"
    level, found = pair.best.normalized, pair.p_value <= _ALPHA
    if found and level >= CLEARLY:
        return Verdict(question, f"The modality can be read from the private codes: {_against_chance(pair)}.", "good")
    if _collapsed(report, "private"):
        return Verdict(question, "Private codes are constant.", "unknown", "See above.")
    if pair.least_p > _ALPHA:
        return Verdict(question, f"{_TOO_FEW} {_against_chance(pair)}.", "unknown", _MORE)
    return Verdict(
        question,
        f"The modality is not clear from the private codes: {_against_chance(pair)}.",
        "mixed" if level >= MUCH else "bad",
        "Train a discriminator on the private codes without reversal, and reconstruct each modality from both "
        "of its codes.",
    )


def _task(report: LeakageReport) -> Verdict | None:
    shared, private, both = (report.probe("target", source) for source in ("shared", "private", "both"))
    if shared is None or private is None or both is None:
        return None
    question = "Where is the task?"
    numbers = (
        f"Probes read {_share(shared)} from the shared codes, {_share(private)} from the private ones and "
        f"{_share(both)} from both ({both.best.metric} between chance and perfect)."
    )
    if both.p_value > _ALPHA and both.least_p > _ALPHA:
        return Verdict(question, f"{numbers} {_TOO_FEW} p = {both.p_value:.2g}.", "unknown", _MORE)
    if both.p_value > _ALPHA:
        return Verdict(question, f"{numbers} That is no more than chance.", "bad", "Train longer, or look at the data.")
    if shared.best.normalized < 0.5 * both.best.normalized:
        return Verdict(
            question,
            f"{numbers} The task lives in the private codes.",
            "mixed",
            "Fine where the task is private to a modality. Otherwise the shared space is squeezed too hard: lower the "
            "adversary or the similarity term, or let the task's gradient reach the shared codes first.",
        )
    return Verdict(question, f"{numbers} The shared codes carry the task.", "good")


def _use(report: LeakageReport) -> Verdict | None:
    if not report.use:
        return None
    question = "Does the model use both parts?"
    through = "its own head" if report.use[0].through == "model" else "a probe on both parts"
    told = [
        f"{use.metric} {use.score:.3f} becomes {use.exchanged:.3f} with the {use.part} codes of other samples"
        for use in report.use
    ]
    unused = [use.part for use in report.use if not _matters(use)]
    answer = f"Through {through}: {'; '.join(told)}."
    if any(use.score <= use.chance for use in report.use):
        return Verdict(question, f"{answer} That is chance to begin with.", "unknown")
    if not unused:
        return Verdict(question, answer, "good")
    return Verdict(
        question,
        f"{answer} The {' and '.join(unused)} codes are not used.",
        "mixed",
        "An unused part costs memory and blurs every claim about it. If it should matter, take the other part's way "
        "around it: a smaller width, dropout on that part, or the task on this part alone.",
    )


def _independence(report: LeakageReport) -> Verdict | None:
    pairs = [
        pair
        for pair in report.dependence
        if pair.first.part != pair.second.part
        and pair.first.modality == pair.second.modality
        and not math.isnan(pair.distance_correlation)
    ]
    if not pairs:
        return None
    question = "Are shared and private codes independent?"
    largest = max(pairs, key=lambda pair: pair.distance_correlation)
    told = "; ".join(
        f"{pair.first.modality}: distance correlation {pair.distance_correlation:.2f}, canonical correlation "
        f"{pair.canonical_correlation:.2f}"
        for pair in pairs
    )
    dependent = [pair for pair in pairs if pair.p_value * len(pairs) <= _ALPHA]
    if not dependent and (largest.distance_correlation >= MUCH or largest.least_p * len(pairs) > _ALPHA):
        return Verdict(question, f"{_TOO_FEW} {told}.", "unknown", _MORE)
    if not dependent:
        return Verdict(question, f"No dependence is found (HSIC, by permutation). {told}.", "good")
    status: Status = "mixed" if largest.distance_correlation < MUCH else "bad"
    return Verdict(
        question,
        f"They depend on each other in {_list([str(p.first.modality) for p in dependent])}. {told}.",
        status,
        "nn.OrthogonalityLoss takes away linear dependence only; nn.HSICLoss(kernel='rbf'), nn.DistanceCorrelationLoss "
        "or nn.CLUB see every kind. Codes made from the same frames are never quite independent.",
    )


def _agreement(report: LeakageReport) -> Verdict | None:
    pairs = [p for p in report.dependence if p.first.part == p.second.part == "shared"]
    known = [pair for pair in pairs if not math.isnan(pair.cka)]
    if not known:
        return None
    question = "Do the modalities say the same in the shared space?"
    lowest = min(known, key=lambda pair: pair.cka)
    told = ", ".join(f"{pair.first} and {pair.second} {pair.cka:.2f}" for pair in known)
    if lowest.cka >= MUCH:
        return Verdict(question, f"Yes; alignment (CKA, at most 1): {told}.", "good")
    return Verdict(
        question,
        f"Not all of them; alignment (CKA, at most 1): {told}.",
        "mixed" if lowest.cka >= LITTLE else "bad",
        "Distributions may match while samples do not: pull the codes of the same sample together (nn.InfoNCELoss, "
        "nn.BarlowTwinsLoss). Where modalities have little in common, the shared space has little to say.",
    )


def _time(report: LeakageReport) -> Verdict | None:
    rows = []
    for part in ("shared", "private"):
        for modality, change in report.change.get(part, {}).items():
            before = report.change.get("input", {}).get(modality, math.nan)
            if not math.isnan(change) and not math.isnan(before) and before > 0:
                rows.append((Block(part, modality), change, before))
    if not rows:
        return None
    told = ", ".join(f"{block} {change:.2f} ({before:.2f} in the input)" for block, change, before in rows)
    return Verdict(
        "How much do the codes change between frames?",
        f"Mean squared step over twice the variance (0: constant, 1: any two frames): {told}.",
        "good" if all(change <= before for _, change, before in rows) else "mixed",
        ""
        if all(change <= before for _, change, before in rows)
        else "Codes move more than their input: raise the weight of the temporal term (nn.TemporalInvariantLoss, "
        "nn.TotalVariationLoss), or smooth in the encoder.",
    )


def _factors(report: LeakageReport) -> Iterable[Verdict]:
    names = dict.fromkeys(pair.question for pair in report.probes if pair.question not in ("modality", "target"))
    for name in names:
        question = f"Where is the factor {name!r}?"
        pairs = [pair for pair in report.probes if pair.question == name and pair.source.modality is not None]
        read = [pair for pair in pairs if pair.best.normalized > LITTLE and pair.p_value <= _ALPHA]
        told = ", ".join(f"{pair.source} {pair.best.normalized:.2f}" for pair in read)
        answer = f"It is read from {told} (0 chance, 1 perfect)." if read else "No block of codes tells it."
        if name == "shared":
            wanted = [Block("shared", modality) for modality in report.modalities]
        elif name in report.modalities:
            wanted = [Block("private", name)]
        else:
            yield Verdict(question, answer, "unknown")
            continue
        fine = all(pair.source in wanted for pair in read) and all(
            pair.best.normalized >= MUCH for pair in pairs if pair.source in wanted
        )
        advice = "" if fine else f"It should be in {_list([str(block) for block in wanted])} and nowhere else."
        yield Verdict(question, answer, "good" if fine else "mixed", advice)


def _collapsed(report: LeakageReport, part: str) -> bool:
    return all(health.collapsed for health in report.health if health.block.part == part)


def _matters(use: PartUse) -> bool:
    """Whether the score gets worse by more than the exchanges differ among themselves."""
    loss = (
        use.score - use.exchanged
        if mode_of(use.metric) == "max" or use.through == "probe"
        else use.exchanged - use.score
    )
    return loss > 2 * use.deviation / use.draws**0.5 and loss > 0.01 * abs(use.score)


def _against_chance(pair: ProbePair) -> str:
    low, high = pair.best.interval
    return (
        f"{pair.best.metric} {pair.best.score:.2f} ({low:.2f} to {high:.2f}) where chance is {pair.best.chance:.2f}, "
        f"p = {pair.p_value:.2g}"
    )


def _share(pair: ProbePair) -> str:
    return "nothing" if pair.best.normalized <= 0 else f"{pair.best.normalized:.0%}"


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"

"""What a verdict is, and from where on a number counts as little, much or clear."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["good", "mixed", "bad", "unknown"]

# Normalised scores: up to the first nothing to worry about, from the second on clearly there.
LITTLE, MUCH = 0.15, 0.5
# A part that is meant to tell modalities apart should reach this.
CLEARLY = 0.85


@dataclass(frozen=True)
class Verdict:
    """The answer to one question.

    Args:
        question: in words.
        answer: one or two sentences with the numbers and their chance levels.
        status: ``"good"``, ``"mixed"``, ``"bad"``, or ``"unknown"`` where the data cannot tell.
        advice: what to try; empty where nothing is to be mended.

    Example:
        >>> from mmdisentangle.evaluation import leakage, verdicts
        >>> codes = {"text": torch.ones(60, 4), "audio": torch.randn(60, 4)}
        >>> verdict = verdicts(leakage(codes, codes, permutations=0))[0]
        >>> print(verdict.status, "--", verdict.question, verdict.answer)
        bad -- Do the codes say anything at all? shared[text] and private[text] are
        collapsed: the same for every sample. What probes do not read from them is not
        hidden, it was never there.
    """

    question: str
    answer: str
    status: Status
    advice: str = ""

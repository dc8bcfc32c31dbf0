"""What an evaluation of disentanglement found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mmdisentangle._core.json_values import json_value
from mmdisentangle.data.dataset import Task
from mmdisentangle.evaluation.probes import ProbeScore


@dataclass(frozen=True)
class Block:
    """Codes of one part: of a modality, or of all of them side by side.

    Args:
        part: ``"shared"``, ``"private"`` or ``"both"``.
        modality: its name; None for all.

    Example:
        >>> str(Block("shared", "text")), str(Block("private"))
        ('shared[text]', 'private')
    """

    part: str
    modality: str | None = None

    def __str__(self) -> str:
        return self.part if self.modality is None else f"{self.part}[{self.modality}]"


@dataclass(frozen=True)
class ProbePair:
    """The same question asked of a linear and a nonlinear probe.

    Args:
        question: what is to be told: ``"modality"``, ``"target"``, or the name of a factor.
        source: the codes it is to be told from.
        linear: score of the linear probe.
        nonlinear: score of the nonlinear one.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> _ = torch.manual_seed(0)
        >>> shared = {"text": torch.randn(60, 2), "audio": torch.randn(60, 2) + 3}
        >>> report = leakage(shared, shared, permutations=50)
        >>> pair = report.probe("modality", "shared")
        >>> round(pair.linear.score, 2), round(pair.nonlinear.score, 2), round(pair.p_value, 2)
        (0.97, 0.97, 0.04)
    """

    question: str
    source: Block
    linear: ProbeScore
    nonlinear: ProbeScore

    @property
    def best(self) -> ProbeScore:
        """The probe that reads more, what is hidden from a linear map is not gone."""
        return max((self.linear, self.nonlinear), key=lambda score: score.score)

    @property
    def p_value(self) -> float:
        """Of the better of two probes (Bonferroni)."""
        return min(1.0, 2 * min(self.linear.p_value, self.nonlinear.p_value))

    @property
    def least_p(self) -> float:
        """The smallest value that ``p_value`` could have had."""
        return min(1.0, 2 * min(self.linear.least_p, self.nonlinear.least_p))


@dataclass(frozen=True)
class Dependence:
    """How much two blocks of codes have to do with each other, over the samples that have both.

    Args:
        first: codes of one part and modality.
        second: of another.
        samples: number of samples.
        cka: centred kernel alignment, linear and unbiased: about 0 on independent codes, 1 on equal ones up to rotation
            and scale.
        distance_correlation: bias-corrected, squared: about 0 on independent codes, sees every kind of dependence.
        canonical_correlation: the largest one, between directions found on one half of the samples and judged on the
            other.
        p_value: of HSIC with Gaussian kernels, by permutation.
        least_p: the smallest value that it could have had.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> private = {"text": torch.randn(60, 2), "audio": torch.randn(60, 2)}
        >>> shared = {"text": private["text"] + 1, "audio": torch.randn(60, 2)}
        >>> report = leakage(shared, private, permutations=0)
        >>> alike = [pair for pair in report.dependence if pair.cka > 0.9]
        >>> [(str(pair.first), str(pair.second)) for pair in alike]
        [('shared[text]', 'private[text]')]
    """

    first: Block
    second: Block
    samples: int
    cka: float
    distance_correlation: float
    canonical_correlation: float
    p_value: float
    least_p: float


@dataclass(frozen=True)
class CodeHealth:
    """Whether codes say anything at all.

    Args:
        block: part and modality.
        features: width D.
        constant_features: number of features that are the same for every sample.
        deviation: root mean square distance from the mean code over the root mean square length of a code: 0 for
            constant codes.
        effective_rank: exponential of the entropy of the singular values' shares, 1..D (Roy and Vetterli 2007); 0 for
            constant codes.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> codes = {"text": torch.randn(60, 1).expand(60, 4), "audio": torch.ones(60, 4)}
        >>> for health in leakage(codes, codes, permutations=0).health[:2]:
        ...     print(health.block, health.collapsed, round(health.effective_rank, 1))
        shared[text] False 1.0
        shared[audio] True 0.0
    """

    block: Block
    features: int
    constant_features: int
    deviation: float
    effective_rank: float

    @property
    def collapsed(self) -> bool:
        """Whether the codes are the same for every sample, up to rounding."""
        return self.constant_features == self.features


@dataclass(frozen=True)
class PartUse:
    """What a part is worth to the model: the score when its codes are those of other samples.

    Args:
        part: ``"shared"`` or ``"private"``.
        metric: name of the score.
        score: with the codes of the samples themselves.
        exchanged: with the part's codes of other samples; the mean over draws.
        deviation: standard deviation over draws.
        draws: number of exchanges.
        chance: the score of one who knows nothing; NaN where it is not known.
        through: ``"model"``, the model's own head, or ``"probe"``, a linear probe on both parts.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> _ = torch.manual_seed(0)
        >>> shared = {"text": torch.randn(40, 2), "audio": torch.randn(40, 2)}
        >>> private = {"text": torch.randn(40, 2), "audio": torch.randn(40, 2)}
        >>> report = leakage(shared, private, targets=shared["text"].sum(1), permutations=0)
        >>> [(use.part, round(use.score, 1), round(use.exchanged, 1)) for use in report.use]
        [('shared', 1.0, -0.9), ('private', 1.0, 1.0)]
    """

    part: str
    metric: str
    score: float
    exchanged: float
    deviation: float
    draws: int
    chance: float
    through: str


@dataclass(frozen=True)
class LeakageReport:
    """The numbers behind the question whether a model has disentangled; `verdicts` says them in words.

    Args:
        modalities: their names.
        samples: number of samples judged.
        groups: number of groups (persons), the samples themselves where none were named.
        task: kind of the target; None where there is none.
        probes: what can be read from which codes.
        dependence: between blocks of codes.
        health: of every block.
        use: of each part for the task; empty without a target.
        change: part and modality to the relative change between neighbouring frames.
        adversaries: name of a discriminator to what `training.DiscriminatorMonitor` logged of it in the last epoch.

    Example:
        >>> from mmdisentangle.evaluation import leakage
        >>> _ = torch.manual_seed(0)
        >>> content = torch.randn(80, 2)
        >>> private = {"text": torch.randn(80, 2), "audio": torch.randn(80, 2) + 9}
        >>> report = leakage({"text": content, "audio": content}, private, permutations=0)
        >>> round(report.modality_leakage, 1), report.modality_in_private
        (0.0, 1.0)
        >>> list(report.to_json())
        ['modalities', 'samples', 'groups', 'task', 'probes', 'dependence', 'health', 'use',
         'change', 'adversaries', 'verdicts']
    """

    modalities: tuple[str, ...]
    samples: int
    groups: int
    task: Task | None
    probes: tuple[ProbePair, ...]
    dependence: tuple[Dependence, ...]
    health: tuple[CodeHealth, ...]
    use: tuple[PartUse, ...] = ()
    change: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    adversaries: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def probe(self, question: str, source: str) -> ProbePair | None:
        """Return the probes of a question from ``"shared"``, ``"both"``, ``"private[a]"``; None where not asked."""
        found = [pair for pair in self.probes if (pair.question, str(pair.source)) == (question, source)]
        return found[0] if found else None

    @property
    def modality_leakage(self) -> float:
        """How well the modality is told from shared codes, where 0 is chance and 1 perfect."""
        return self._normalized("modality", "shared")

    @property
    def modality_in_private(self) -> float:
        """How well the modality is told from private codes, where 0 is chance and 1 perfect."""
        return self._normalized("modality", "private")

    def _normalized(self, question: str, source: str) -> float:
        pair = self.probe(question, source)
        return float("nan") if pair is None else pair.best.normalized

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types, verdicts included; NaN is None."""
        from mmdisentangle.evaluation.verdicts import verdicts

        content = asdict(self)
        content["dependence"] = [
            {**asdict(pair), "first": str(pair.first), "second": str(pair.second)} for pair in self.dependence
        ]
        content["health"] = [
            {**asdict(health), "block": str(health.block), "collapsed": health.collapsed} for health in self.health
        ]
        content["probes"] = [
            {
                "question": pair.question,
                "source": str(pair.source),
                "p_value": pair.p_value,
                **{name: _score(getattr(pair, name)) for name in ("linear", "nonlinear")},
            }
            for pair in self.probes
        ]
        content["verdicts"] = [asdict(verdict) for verdict in verdicts(self)]
        found: dict[str, Any] = json_value(content)
        return found


def _score(score: ProbeScore) -> dict[str, Any]:
    return {
        **asdict(score),
        "normalized": score.normalized,
        "normalized_interval": score.normalized_interval,
    }

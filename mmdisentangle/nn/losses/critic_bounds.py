"""MINE and NWJ as modules: lower bounds of mutual information with a critic network of their own."""

import math
from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_count, check_number, check_width
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._paired_codes import check_pair
from mmdisentangle.functional.critic_bounds import donsker_varadhan, nwj, score_means
from mmdisentangle.functional.gradient_reversal import gradient_reversal
from mmdisentangle.nn.losses._estimator import Estimator
from mmdisentangle.nn.losses._perceptron import JointCritic, SeparableCritic, View, as_they_are

Critic: TypeAlias = Literal["separable", "joint"]
CRITICS = ("separable", "joint")
CriticNegatives: TypeAlias = Literal["all", "shift"]
CRITIC_NEGATIVES = ("all", "shift")
Objective: TypeAlias = Literal["minimize", "maximize"]
OBJECTIVES = ("minimize", "maximize")


class _CriticBound(Estimator, ABC):
    """A critic that always learns to raise the bound, and codes that lower or raise it."""

    def __init__(
        self,
        x_features: int,
        y_features: int,
        *,
        objective: Objective = "minimize",
        critic: Critic = "separable",
        negatives: CriticNegatives = "all",
        hidden_features: int | None = None,
        num_layers: int = 3,
        embedding_features: int = 32,
        gather: bool = False,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        check_count(where, "x_features", x_features)
        check_count(where, "y_features", y_features)
        check_choice(where, "objective", objective, OBJECTIVES)
        check_choice(where, "critic", critic, CRITICS)
        check_choice(where, "negatives", negatives, CRITIC_NEGATIVES)
        hidden_features = 4 * max(x_features, y_features) if hidden_features is None else hidden_features
        check_count(where, "hidden_features", hidden_features)
        check_count(where, "num_layers", num_layers, low=2)
        check_count(where, "embedding_features", embedding_features)
        self.x_features, self.y_features, self.gather = x_features, y_features, gather
        self.objective: Objective = objective
        self.negatives: CriticNegatives = negatives
        hidden = [hidden_features] * (num_layers - 1)
        self.critic: SeparableCritic | JointCritic = (
            SeparableCritic(x_features, y_features, hidden, embedding_features)
            if critic == "separable"
            else JointCritic(x_features, y_features, hidden)
        )

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss, to be minimised: the bound, or minus the bound where the codes maximise it.

        ``mask [N]`` is True where the sample has both codes. The critic learns in training mode only.
        """
        minimizing = self.objective == "minimize"
        view: View = torch.Tensor.detach
        if self.training:
            self.watch()
            view = gradient_reversal if minimizing else as_they_are
        bound = self._bound(*self._scores(x, y, mask, view))
        return bound if minimizing else -bound

    def estimate(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """The bound with its ordinary derivatives, in nats."""
        return self._estimate(*self._scores(x, y, mask, as_they_are))

    def _bound(self, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None) -> Tensor:
        """`_estimate`, perhaps with another gradient."""
        return self._estimate(joint, marginal, mask, marginal_mask)

    @abstractmethod
    def _estimate(self, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None) -> Tensor:
        """Return the bound from the critic's scores."""

    def _scores(
        self, x: Tensor, y: Tensor, mask: Tensor | None, view: View
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Scores of own pairs and of others, with their masks."""
        where = type(self).__name__
        check_pair(where, x, y, mask)
        check_width(where, "x", x, self.x_features)
        check_width(where, "y", y, self.y_features)
        x, y = self.critic.embed(zero_where_invalid(x, mask), zero_where_invalid(y, mask), view)
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        size = x.shape[0]
        if self.negatives == "all":
            table = self.critic.table(x, y, view)
            others = ~torch.eye(size, dtype=torch.bool, device=x.device)
            return table.diagonal(), table, mask, others if mask is None else others & mask & mask.unsqueeze(1)
        counts = x.new_ones(size, dtype=torch.bool) if mask is None else mask
        others = counts & (counts.sum() > 1)
        shifted = y[_next_of(counts)]
        return self.critic.pairs(x, y, view), self.critic.pairs(x, shifted, view), mask, others

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"objective={self.objective!r}, negatives={self.negatives!r}, gather={self.gather}"


def _next_of(mask: Tensor) -> Tensor:
    """For every row that counts the index of the next one that does, the first after the last."""
    rows = torch.argsort((~mask).to(torch.uint8), stable=True)
    following = mask.long().cumsum(0) % mask.sum().clamp(min=1)
    return rows[following]


class MINE(_CriticBound):
    r"""Mutual information neural estimation: the Donsker-Varadhan bound with a critic that learns.

    .. math:: I(x; y) \ge \mathbb{E}_{p(x, y)} T - \log \mathbb{E}_{p(x) p(y)} e^T

    Add it to the loss and train it with the model, in one optimizer. The critic always learns to raise the bound: with
    ``objective="minimize"`` (take dependence out of codes) its gradient is reversed, with ``"maximize"`` the loss is
    minus the bound. To drive dependence down, prefer an upper bound (`CLUB`): codes that lower a lower bound may only
    have fooled the critic.

    Args:
        x_features: width of x.
        y_features: width of y.
        objective: what the codes do, ``"minimize"`` or ``"maximize"``.
        critic: ``"separable"``, f(x) . g(y), or ``"joint"``, one network of both codes.
        negatives: ``"all"`` n (n - 1) pairs of different samples, or ``"shift"``, n pairs of neighbours in the batch.
        hidden_features: width of the hidden layers; four times the wider code where None.
        num_layers: linear layers, at least 2.
        embedding_features: width of f and g of the separable critic.
        averaging: share of the current batch in the moving average of :math:`e^T` that replaces its batch mean in the
            gradient; 1 is the biased gradient of the batch alone.
        gather: take pairs over the samples of all processes.

    Attributes:
        log_average: logarithm of the moving average, a persistent buffer; -inf before the first step.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Nats; 0 with fewer than two samples. See `functional.donsker_varadhan` for its bias in small batches.

    Raises:
        SettingError: a setting is out of range.
        ShapeError, DtypeError: an argument does not fit.

    Numerics:
        The critic is computed in float32 at least. The average is kept as a logarithm; the correction multiplies the
        gradient by at most 1 / averaging.

    Example:
        >>> mine = MINE(4, 3)
        >>> x, y = torch.randn(8, 4, requires_grad=True), torch.randn(8, 3)
        >>> mine(x, y).backward()
        >>> x.grad is not None and all(p.grad is not None for p in mine.parameters())
        True

    References:
        Belghazi et al., "Mutual Information Neural Estimation", 2018, arXiv:1801.04062.
    """

    log_average: Tensor

    def __init__(
        self,
        x_features: int,
        y_features: int,
        *,
        objective: Objective = "minimize",
        critic: Critic = "separable",
        negatives: CriticNegatives = "all",
        hidden_features: int | None = None,
        num_layers: int = 3,
        embedding_features: int = 32,
        averaging: float = 0.01,
        gather: bool = False,
    ) -> None:
        super().__init__(
            x_features,
            y_features,
            objective=objective,
            critic=critic,
            negatives=negatives,
            hidden_features=hidden_features,
            num_layers=num_layers,
            embedding_features=embedding_features,
            gather=gather,
        )
        check_number("MINE", "averaging", averaging, low=0, high=1, open_low=True)
        self.averaging = averaging
        self.register_buffer("log_average", torch.tensor(-torch.inf))

    def _estimate(self, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None) -> Tensor:
        return donsker_varadhan(joint, marginal, mask=mask, marginal_mask=marginal_mask)

    def _bound(self, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None) -> Tensor:
        mean, log_mean, enough = score_means("MINE", joint, marginal, mask, marginal_mask)
        if self.training:
            batch = log_mean.detach()
            average = self.log_average.to(batch.dtype)
            kept = math.log1p(-self.averaging) if self.averaging < 1 else -math.inf
            mixed = torch.logaddexp(average + kept, batch + math.log(self.averaging))
            average = torch.where(average == -torch.inf, batch, mixed)
            with torch.no_grad():
                self.log_average.copy_(torch.where(enough, average, self.log_average))
            # The gradient of mean(e^T) / average instead of that of log mean(e^T).
            share = torch.where(enough, batch - average, torch.zeros_like(batch)).exp()
            log_mean = batch + share * (log_mean - batch)
        return torch.where(enough, mean - log_mean, torch.zeros_like(mean))


class NWJ(_CriticBound):
    r"""Bound of Nguyen, Wainwright and Jordan with a critic that learns.

    .. math:: I(x; y) \ge 1 + \mathbb{E}_{p(x, y)} T - \mathbb{E}_{p(x) p(y)} e^T

    A lower bound in expectation at any batch size, of a larger variance than `MINE`. Trained like `MINE`.

    Args:
        x_features: width of x.
        y_features: width of y.
        objective: what the codes do, ``"minimize"`` or ``"maximize"``.
        critic: ``"separable"`` or ``"joint"``.
        negatives: ``"all"`` pairs of different samples, or ``"shift"``.
        hidden_features: width of the hidden layers; four times the wider code where None.
        num_layers: linear layers, at least 2.
        embedding_features: width of f and g of the separable critic.
        gather: take pairs over the samples of all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Returns:
        Nats; 0 with fewer than two samples.

    Raises:
        SettingError: a setting is out of range.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> bound = NWJ(4, 3, critic="joint", objective="maximize")
        >>> x, y = torch.randn(8, 4), torch.randn(8, 3)
        >>> torch.equal(bound(x, y), -bound.estimate(x, y))
        True

    References:
        Nguyen, Wainwright and Jordan, "Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk
        Minimization", 2010, arXiv:0809.0853.
    """

    def _estimate(self, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None) -> Tensor:
        return nwj(joint, marginal, mask=mask, marginal_mask=marginal_mask)

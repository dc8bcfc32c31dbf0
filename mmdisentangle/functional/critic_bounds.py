"""Lower bounds of mutual information from the scores of a critic: Donsker and Varadhan's, and that of NWJ."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_float, check_mask, check_tensor
from mmdisentangle._core.errors import DtypeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle._core.reduction import reduce_terms


def donsker_varadhan(
    joint: Float[Tensor, " N"],
    marginal: Float[Tensor, "*pairs"],
    *,
    mask: Bool[Tensor, " N"] | None = None,
    marginal_mask: Bool[Tensor, "*pairs"] | None = None,
) -> Float[Tensor, ""]:
    r"""Lower bound of the mutual information that MINE maximises.

    .. math:: I(x; y) \ge \mathbb{E}_{p(x, y)} T - \log \mathbb{E}_{p(x) p(y)} e^T

    It is tight for :math:`T = \log p(x, y) / (p(x) p(y))` plus any constant. The logarithm of a mean over few samples
    is too small on average, so the estimate from a batch is too large by about the relative variance of :math:`e^T`
    over twice their number: a bound in the limit of many negatives only. `nwj` has no such bias.

    Args:
        joint: scores T of samples' own pairs.
        marginal: scores of pairs of different samples, in any shape.
        mask: True = the joint pair counts.
        marginal_mask: True = the other pair counts.

    Shape:
        joint and mask ``[N]``, marginal and marginal_mask ``[...]``; result ``[]``.

    Returns:
        Nats; 0 where either has no pair. float32 for half-precision input.

    Raises:
        DtypeError: scores are not floating, a mask not boolean.
        ShapeError: a mask does not match.

    Numerics:
        Scores of any size give finite values and gradients.

    Example:
        >>> donsker_varadhan(torch.tensor([1.0, 1.0]), torch.tensor([[0.0, -1.0]]))
        tensor(1.3799)

    References:
        Donsker and Varadhan, "Asymptotic Evaluation of Certain Markov Process Expectations for Large Time. IV", 1983,
        doi:10.1002/cpa.3160360204.
        Belghazi et al., "Mutual Information Neural Estimation", 2018, arXiv:1801.04062.
    """
    mean, log_mean, enough = score_means("donsker_varadhan", joint, marginal, mask, marginal_mask)
    return torch.where(enough, mean - log_mean, torch.zeros_like(mean))


def nwj(
    joint: Float[Tensor, " N"],
    marginal: Float[Tensor, "*pairs"],
    *,
    mask: Bool[Tensor, " N"] | None = None,
    marginal_mask: Bool[Tensor, "*pairs"] | None = None,
) -> Float[Tensor, ""]:
    r"""Lower bound of Nguyen, Wainwright and Jordan, unbiased for a given critic.

    .. math:: I(x; y) \ge 1 + \mathbb{E}_{p(x, y)} T - \mathbb{E}_{p(x) p(y)} e^T

    It is tight for :math:`T = \log p(x, y) / (p(x) p(y))`, and never above `donsker_varadhan` of the same scores. Its
    variance grows with the exponential of the information.

    Args:
        joint: scores T of samples' own pairs.
        marginal: scores of pairs of different samples, in any shape.
        mask: True = the joint pair counts.
        marginal_mask: True = the other pair counts.

    Shape:
        joint and mask ``[N]``, marginal and marginal_mask ``[...]``; result ``[]``.

    Returns:
        Nats; 0 where either has no pair. float32 for half-precision input.

    Raises:
        DtypeError: scores are not floating, a mask not boolean.
        ShapeError: a mask does not match.

    Numerics:
        The exponentials are averaged as logarithms. A mean beyond the square root of the dtype's range (e^44 in
        float32) is held there: value and gradient stay finite.

    Deviations:
        Often written with the critic :math:`f = 1 + T`; a critic of 0 gives 0 in this form.

    Example:
        >>> nwj(torch.tensor([1.0, 1.0]), torch.tensor([[0.0, -1.0]]))
        tensor(1.3161)

    References:
        Nguyen, Wainwright and Jordan, "Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk
        Minimization", 2010, arXiv:0809.0853.
    """
    mean, log_mean, enough = score_means("nwj", joint, marginal, mask, marginal_mask)
    limit = math.log(torch.finfo(mean.dtype).max) / 2
    log_mean = log_mean - (log_mean - limit).relu().detach()
    return torch.where(enough, mean - torch.expm1(log_mean), torch.zeros_like(mean))


def score_means(
    where: str, joint: Tensor, marginal: Tensor, mask: Tensor | None, marginal_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of the joint scores, logarithm of the mean exponential of the marginal ones, and whether both have pairs."""
    check_float(where, "joint", joint, "N")
    check_tensor(where, "marginal", marginal)
    if not marginal.is_floating_point():
        raise DtypeError(f"{where}: marginal must be a floating-point tensor, got {marginal.dtype}.")
    if mask is not None:
        check_mask(where, "mask", mask, joint.shape)
    if marginal_mask is not None:
        check_mask(where, "marginal_mask", marginal_mask, marginal.shape)
    joint, marginal = at_least_float32(joint), at_least_float32(marginal).flatten()
    mean = reduce_terms(zero_where_invalid(joint, mask), mask, "mean")
    enough = _any(joint, mask) & _any(marginal, marginal_mask)
    if marginal_mask is None:
        count = torch.full_like(mean, max(marginal.shape[0], 1))
    else:
        counted = marginal_mask.flatten()
        count = counted.sum().clamp(min=1).to(mean.dtype)
        # Without any, all of them: the value is not used, and its gradient stays finite.
        marginal = torch.where(counted | ~enough, zero_where_invalid(marginal, counted), -torch.inf)
    return mean, marginal.logsumexp(0) - count.log(), enough


def _any(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.full((), scores.shape[0] > 0, device=scores.device)
    return mask.any()

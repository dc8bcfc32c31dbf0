"""CLUB: an upper bound of mutual information from a model of one variable given the other."""

import math

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from mmdisentangle._core.checks import check_axes, check_flag, check_float, check_mask, check_same_shape, check_tensor
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle._core.reduction import reduce_terms
from mmdisentangle.functional._paired_codes import centred, count_samples


def club(
    mean: Float[Tensor, "N D"],
    log_variance: Float[Tensor, "N D"],
    y: Float[Tensor, "N D"],
    *,
    unbiased: bool = True,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Contrastive log-ratio upper bound with a Gaussian q(y|x).

    .. math:: I(x; y) \le \mathbb{E}_{p(x, y)} \log q(y|x) - \mathbb{E}_{p(x) p(y)} \log q(y|x), \qquad
              q(y_j | x_i) = \mathcal{N}(\mu_i, \mathrm{diag}\, \sigma_i^2)

    Use it to take dependence out of codes. It is an upper bound where q(y|x) is the conditional distribution, or not
    further from it than q(y|x) p(x) is from p(x) p(y); a q that was never trained bounds nothing, see
    `mmdisentangle.nn.CLUB`, which trains it.

    Args:
        mean: :math:`\mu(x_i)`, one row per sample.
        log_variance: :math:`\log \sigma^2(x_i)`, one per feature.
        y: codes of the same samples.
        unbiased: leave a sample's own y out of its negatives. With it, as in the paper, the value is smaller by the
            factor (n - 1) / n, and in small batches no upper bound.
        mask: True = the sample has both codes; others are no negatives either.

    Shape:
        mean, log_variance, y ``[N, D]``, mask ``[N]``; result ``[]``.

    Returns:
        Nats, of either sign; 0 with fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: shapes differ, or the mask does not match.
        SettingError: unbiased is not True or False.

    Numerics:
        The mean over negatives has a closed form, :math:`\mathrm{mean}_j (y_j - \mu_i)^2 = (\bar y - \mu_i)^2 +
        \mathrm{var}(y)`, so the cost is N D and not N^2 D. It is computed around the mean of y: a shift of y and mean
        costs no digits.

    Deviations:
        ``unbiased=False`` is the paper's estimate. The released code writes it with N x N x D differences, and a
        sampled variant with one negative per sample, of the same expectation; neither is needed here.

    Example:
        >>> y = torch.tensor([[-1.0], [1.0]])
        >>> club(0.5 * y, torch.zeros(2, 1), y), club(0.5 * y, torch.zeros(2, 1), y, unbiased=False)
        (tensor(1.), tensor(0.5000))

    References:
        Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", 2020, arXiv:2006.12013.
    """
    _check_gaussian("club", mean, log_variance, y, mask)
    check_flag("club", "unbiased", unbiased)
    mean, log_variance, y = (at_least_float32(zero_where_invalid(x, mask)) for x in (mean, log_variance, y))
    count = count_samples(y, mask)
    centre = y.sum(0) / count.clamp(min=1)
    y = centred(y, mask)
    variance = y.square().sum(0) / count.clamp(min=1)
    # The negatives' mean square minus the positive's, both of mu_i - y: the squares of mu_i cancel.
    gaps = y * (mean - centre) + (variance - y.square()) / 2
    terms = (gaps * torch.exp(-log_variance)).sum(1)
    return _over_samples(zero_where_invalid(terms, mask), count, unbiased)


def club_categorical(
    logits: Float[Tensor, "N C"],
    y: Int[Tensor, " N"] | Num[Tensor, "N C"],
    *,
    unbiased: bool = True,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""`club` with a categorical q(y|x), for labels and discrete codes.

    .. math:: \mathrm{mean}_i \Bigl[ \log q(y_i | x_i) - \mathrm{mean}_j \log q(y_j | x_i) \Bigr]
              = \mathrm{mean}_i \sum_c (y_{ic} - \bar y_c) \, \mathrm{logit}_{ic}

    Args:
        logits: of q(y|x_i), one row per sample.
        y: classes ``[N]``, or weights of the classes ``[N, C]``: one-hot codes, or relaxed ones, which get a gradient.
        unbiased: leave a sample's own y out of its negatives.
        mask: True = the sample counts.

    Shape:
        logits ``[N, C]``, y ``[N]`` or ``[N, C]``, mask ``[N]``; result ``[]``.

    Returns:
        Nats, of either sign; 0 with fewer than two samples. float32 for half-precision input.

    Raises:
        DtypeError: logits are not floating, y is boolean, or the mask is not.
        ShapeError: shapes do not fit.
        SettingError: unbiased is not True or False.

    Numerics:
        The mean over negatives is one over classes: the cost is N C. The normalisers of the softmax cancel. A class
        outside 0..C-1 counts as none.

    Example:
        >>> club_categorical(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor(1.)

    References:
        Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", 2020, arXiv:2006.12013.
    """
    where = "club_categorical"
    check_float(where, "logits", logits, "N C")
    classes = class_weights(where, y, logits.shape[1])
    if classes.shape[0] != logits.shape[0]:
        raise ShapeError(f"{where}: y must have {logits.shape[0]} rows, as logits has, got {classes.shape[0]}.")
    if mask is not None:
        check_mask(where, "mask", mask, logits.shape[:1])
    check_flag(where, "unbiased", unbiased)
    logits = at_least_float32(zero_where_invalid(logits, mask))
    count = count_samples(logits, mask)
    terms = (centred(classes.to(logits.dtype), mask) * logits).sum(1)
    return _over_samples(terms, count, unbiased)


def class_weights(where: str, y: Tensor, num_classes: int) -> Tensor:
    """Classes ``[N]`` as one-hot rows; weights ``[N, C]`` as they are."""
    check_tensor(where, "y", y)
    if y.dtype == torch.bool or (y.ndim == 1 and y.is_floating_point()):
        raise DtypeError(f"{where}: y must hold integer classes [N] or weights [N, C], got {y.dtype} of {y.ndim} axes.")
    if y.ndim == 1:
        return y.unsqueeze(1) == torch.arange(num_classes, device=y.device)
    check_axes(where, "y", y, "N C")
    if y.shape[1] != num_classes:
        raise ShapeError(f"{where}: y must have one weight for each of {num_classes} classes, got {y.shape[1]}.")
    return y


def gaussian_log_likelihood(
    mean: Float[Tensor, "N D"],
    log_variance: Float[Tensor, "N D"],
    y: Float[Tensor, "N D"],
    *,
    mask: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    r"""Mean over samples of :math:`\log \mathcal{N}(y_i; \mu_i, \mathrm{diag}\, \sigma_i^2)`, in nats.

    What a Gaussian q(y|x) is trained on. 0 without samples.

    Example:
        >>> zeros = torch.zeros(3, 2)
        >>> gaussian_log_likelihood(zeros, zeros, zeros)
        tensor(-1.8379)
    """
    _check_gaussian("gaussian_log_likelihood", mean, log_variance, y, mask)
    mean, log_variance, y = (at_least_float32(zero_where_invalid(x, mask)) for x in (mean, log_variance, y))
    squares = (y - mean).square() * torch.exp(-log_variance)
    terms = -(squares + log_variance + math.log(2 * math.pi)).sum(1) / 2
    return reduce_terms(zero_where_invalid(terms, mask), mask, "mean")


def _check_gaussian(where: str, mean: Tensor, log_variance: Tensor, y: Tensor, mask: Tensor | None) -> None:
    for name, x in (("mean", mean), ("log_variance", log_variance), ("y", y)):
        check_float(where, name, x, "N D")
        check_same_shape(where, name, x, "mean", mean)
    if mask is not None:
        check_mask(where, "mask", mask, mean.shape[:1])


def _over_samples(terms: Tensor, count: Tensor, unbiased: bool) -> Tensor:
    """Mean over samples of a difference to all negatives, or to those of other samples; 0 with fewer than two."""
    bound = terms.sum() / ((count - 1) if unbiased else count).clamp(min=1)
    return torch.where(count >= 2, bound, torch.zeros_like(bound))

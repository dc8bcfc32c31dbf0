"""Cycle reconstruction: a code, decoded and encoded again, comes back."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmdisentangle._core.checks import check_flag, check_float, check_mask, check_same_shape
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid


def cycle_reconstruction(
    code: Float[Tensor, "*samples D"],
    recovered: Float[Tensor, "*samples D"],
    mask: Bool[Tensor, "*samples"] | None = None,
    *,
    relative: bool = False,
    detach_code: bool = False,
) -> Float[Tensor, ""]:
    r"""Mean squared error of a code that went through decoder and encoder.

    .. math:: L = \mathrm{mean}\, (\hat p - p)^2, \qquad \hat p = E_{\text{private}}(D(s + p))

    with s the shared code and p the private one. Use it beside a reconstruction loss, so that what the decoder writes
    into the modality is what the private encoder reads from it; whether D takes the sum or both codes side by side is
    the model's affair.

    Args:
        code: private codes, per sample or per frame.
        recovered: private codes of the decoded modality.
        mask: True = the sample or frame is real.
        relative: divide by the mean square of the code, so that smaller codes do not cost less.
        detach_code: treat the code as a constant; where False, it is moved towards what comes back, too.

    Shape:
        code, recovered ``[B, D]`` or ``[B, T, D]``, mask ``[B]`` or ``[B, T]``; result ``[]``.

    Returns:
        Squared units of the code, or none where ``relative``; 0 without a real entry, and for ``relative`` where all
        codes are 0. float32 for half-precision input.

    Raises:
        DtypeError: an input is not floating, the mask not boolean.
        ShapeError: shapes differ, or the mask does not match.
        SettingError: a flag is not True or False.

    Example:
        >>> code = torch.tensor([[3.0, 4.0]])
        >>> cycle_reconstruction(code, code / 2), cycle_reconstruction(code, code / 2, relative=True)
        (tensor(3.1250), tensor(0.2500))

    References:
        Li et al., "Decoupled Multimodal Distilling for Emotion Recognition", 2023, arXiv:2303.13802.
    """
    where = "cycle_reconstruction"
    check_float(where, "code", code, "B T D" if code.ndim == 3 else "B D")
    check_same_shape(where, "recovered", recovered, "code", code)
    check_float(where, "recovered", recovered, "B T D" if code.ndim == 3 else "B D")
    if mask is not None:
        check_mask(where, "mask", mask, code.shape[:-1])
    check_flag(where, "relative", relative)
    check_flag(where, "detach_code", detach_code)
    return ratio(mean_squares(code.detach() if detach_code else code, recovered, mask), relative)


def mean_squares(code: Tensor, recovered: Tensor, mask: Tensor | None) -> Tensor:
    """Mean square of the error and of the code, ``[2]``, unchecked."""
    code, recovered = (at_least_float32(zero_where_invalid(x, mask)) for x in (code, recovered))
    sums = torch.stack(((recovered - code).square().sum(), code.square().sum()))
    return sums / (max(code.numel(), 1) if mask is None else mask.sum().clamp(min=1) * max(code.shape[-1], 1))


def ratio(squares: Tensor, relative: bool) -> Tensor:
    """The loss from `mean_squares`; its last axis is taken apart."""
    error, size = squares.unbind(-1)
    if not relative:
        return error
    positive = size > 0
    return torch.where(positive, error, torch.zeros_like(error)) / torch.where(positive, size, torch.ones_like(size))

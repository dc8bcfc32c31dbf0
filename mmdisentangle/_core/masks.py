"""Masks: boolean, True = a real frame. Conversions from and to the forms other libraries use."""

import torch
from jaxtyping import Bool, Int, Num
from torch import Tensor

from mmdisentangle._core.checks import check_axes, check_count, check_mask, check_tensor
from mmdisentangle._core.errors import DtypeError


def lengths_to_mask(lengths: Int[Tensor, " B"], max_length: int | None = None) -> Bool[Tensor, "B T"]:
    r"""Build the mask of right-padded sequences from their lengths.

    .. math:: \mathrm{mask}_{bt} = [\, t < n_b \,], \qquad t = 0, \dots, T - 1

    Args:
        lengths: number of real frames of each sample.
        max_length: number of columns ``T``; the longest length where None (which reads the values: give it under
            ``torch.compile`` and where a device synchronisation costs).

    Returns:
        Mask, True for the first ``lengths[b]`` frames of row ``b``. Lengths beyond ``T`` give an all-True row.

    Raises:
        DtypeError: lengths are not integers.
        ShapeError: lengths have more than one axis.

    Example:
        >>> lengths_to_mask(torch.tensor([2, 0]), 3)
        tensor([[ True,  True, False],
                [False, False, False]])
    """
    check_tensor("lengths_to_mask", "lengths", lengths)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise DtypeError(f"lengths_to_mask: lengths must be an integer tensor, got {lengths.dtype}.")
    check_axes("lengths_to_mask", "lengths", lengths, "B")
    if max_length is not None:
        check_count("lengths_to_mask", "max_length", max_length, low=0)
    else:
        max_length = int(lengths.max()) if lengths.numel() else 0
    return torch.arange(max_length, device=lengths.device) < lengths.unsqueeze(-1)


def mask_to_lengths(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """Count the real frames of each sample, whichever side is padded.

    Example:
        >>> mask_to_lengths(torch.tensor([[True, True, False], [False, False, False]]))
        tensor([2, 0])
    """
    _check_mask_alone("mask_to_lengths", mask)
    return mask.sum(-1)


def attention_mask_to_mask(attention_mask: Num[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Convert a Hugging Face ``attention_mask`` (1 = real, 0 = padding; any number type) to a boolean mask.

    Example:
        >>> attention_mask_to_mask(torch.tensor([[1, 1, 0]]))
        tensor([[ True,  True, False]])
    """
    check_tensor("attention_mask_to_mask", "attention_mask", attention_mask)
    check_axes("attention_mask_to_mask", "attention_mask", attention_mask, "B T")
    return attention_mask != 0


def mask_to_attention_mask(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Convert a mask to a Hugging Face ``attention_mask``: int64, 1 = real.

    Example:
        >>> mask_to_attention_mask(torch.tensor([[True, False]]))
        tensor([[1, 0]])
    """
    _check_mask_alone("mask_to_attention_mask", mask)
    return mask.long()


def key_padding_mask_to_mask(key_padding_mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Convert torch's ``key_padding_mask`` (True = padding, the inverse of ours) to a mask.

    Example:
        >>> key_padding_mask_to_mask(torch.tensor([[False, True]]))
        tensor([[ True, False]])
    """
    _check_mask_alone("key_padding_mask_to_mask", key_padding_mask, "key_padding_mask")
    return ~key_padding_mask


def mask_to_key_padding_mask(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Convert a mask to torch's ``key_padding_mask`` (True = padding).

    Example:
        >>> mask_to_key_padding_mask(torch.tensor([[True, False]]))
        tensor([[False,  True]])
    """
    _check_mask_alone("mask_to_key_padding_mask", mask)
    return ~mask


def frame_positions(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    r"""Number the real frames of each sample 0, 1, 2, ..., on whichever side the padding stands; padding gets 0.

    .. math:: p_{bt} = \mathrm{mask}_{bt}\, \Big( \sum_{s \le t} \mathrm{mask}_{bs} - 1 \Big)

    Example:
        >>> frame_positions(torch.tensor([[False, True, True], [True, True, False]]))
        tensor([[0, 0, 1],
                [0, 1, 0]])
    """
    _check_mask_alone("frame_positions", mask)
    return (mask.long().cumsum(-1) - 1) * mask


def _check_mask_alone(where: str, mask: Tensor, name: str = "mask") -> None:
    check_tensor(where, name, mask)
    check_axes(where, name, mask, "B T")
    check_mask(where, name, mask, mask.shape)

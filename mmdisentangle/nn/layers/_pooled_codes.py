"""Codes of every modality as one vector per sample, whether they came as sequences or not."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_float, check_mask, check_tensor, check_width
from mmdisentangle._core.errors import ShapeError
from mmdisentangle._core.modalities import check_known, check_mapping, in_order
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_mean


def pooled_codes(
    where: str,
    argument: str,
    codes: Mapping[str, Tensor],
    masks: Mapping[str, Tensor] | None,
    modalities: Sequence[str],
    width: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return codes ``[B, D]``, time averaged where they have frames, and which of them exist ``[B]``.

    Args:
        where: who asks.
        argument: name of ``codes`` in error messages.
        codes: ``[B, D]`` or ``[B, T_m, D]`` per modality.
        masks: ``[B]`` or ``[B, T_m]``, True = real.
        modalities: names in the order of the results.
        width: D.
    """
    codes = in_order(where, argument, codes, modalities)
    if masks is not None:
        check_mapping(where, "masks", masks)
    for name in masks or ():
        check_known(where, "masks", name, modalities)
    pooled: list[Tensor] = []
    valid: list[Tensor] = []
    for name, code in codes.items():
        label = f"{argument}[{name!r}]"
        check_tensor(where, label, code)
        check_float(where, label, code, "B D" if code.ndim == 2 else "B T D")
        check_width(where, label, code, width)
        mask = None if masks is None else masks.get(name)
        if mask is not None:
            check_mask(where, f"masks[{name!r}]", mask, code.shape[:-1])
        if code.ndim == 2:
            pooled.append(zero_where_invalid(code, mask))
            exists = mask
        else:
            pooled.append(masked_mean(code, mask, 1))
            exists = None if mask is None else mask.any(1)
            if code.shape[1] == 0:
                exists = torch.zeros(code.shape[:1], dtype=torch.bool, device=code.device)
        valid.append(torch.ones(code.shape[:1], dtype=torch.bool, device=code.device) if exists is None else exists)
        if pooled[-1].shape[0] != pooled[0].shape[0]:
            raise ShapeError(
                f"{where}: all {argument} must have the same batch size, got {pooled[0].shape[0]} and {code.shape[0]} "
                f"for {label}."
            )
    return pooled, valid

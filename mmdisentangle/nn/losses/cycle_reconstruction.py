"""Cycle reconstruction over modalities as a module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag, check_float, check_mask, check_same_shape, check_tensor
from mmdisentangle._core.distributed import count_rows, mean_over_processes
from mmdisentangle._core.modalities import check_known, check_mapping, in_order, modality_names
from mmdisentangle.functional.cycle_reconstruction import mean_squares, ratio


class CycleReconstructionLoss(nn.Module):
    r"""Private codes come back from the decoded modality: mean of `functional.cycle_reconstruction` over modalities.

    .. math:: L = \frac{1}{M} \sum_m \mathrm{mean}\, (\hat p_m - p_m)^2,
              \qquad \hat p_m = E_m(D_m(s_m + p_m))

    Args:
        relative: divide by the mean square of the codes.
        detach_code: treat the codes as constants.
        gather: take the means over the samples or frames of all processes.

    Shape:
        codes, recovered ``[B, D]`` or ``[B, T_m, D]`` and masks ``[B]`` or ``[B, T_m]`` per modality; result ``[]``.

    Returns:
        Squared units of the codes, or none where ``relative``; a modality without a real entry adds 0.

    Raises:
        ModalityError: the modalities of the arguments differ.
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a flag is not True or False.

    Example:
        >>> codes = {"text": torch.ones(2, 3), "audio": torch.ones(2, 4, 3)}
        >>> CycleReconstructionLoss()(codes, {name: x / 2 for name, x in codes.items()})
        tensor(0.2500)

    References:
        Li et al., "Decoupled Multimodal Distilling for Emotion Recognition", 2023, arXiv:2303.13802.
    """

    def __init__(self, *, relative: bool = False, detach_code: bool = False, gather: bool = False) -> None:
        super().__init__()
        check_flag("CycleReconstructionLoss", "relative", relative)
        check_flag("CycleReconstructionLoss", "detach_code", detach_code)
        self.relative, self.detach_code, self.gather = relative, detach_code, gather

    def forward(
        self,
        codes: Mapping[str, Tensor],
        recovered: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss."""
        where = "CycleReconstructionLoss"
        check_mapping(where, "codes", codes)
        names = modality_names(where, codes)
        recovered = in_order(where, "recovered", recovered, names)
        if masks is not None:
            check_mapping(where, "masks", masks)
        for name in masks or ():
            check_known(where, "masks", name, names)
        squares, counts = [], []
        for name in names:
            code, back, mask = codes[name], recovered[name], None if masks is None else masks.get(name)
            check_tensor(where, f"codes[{name!r}]", code)
            axes = "B T D" if code.ndim == 3 else "B D"
            check_float(where, f"codes[{name!r}]", code, axes)
            check_float(where, f"recovered[{name!r}]", back, axes)
            check_same_shape(where, f"recovered[{name!r}]", back, f"codes[{name!r}]", code)
            if mask is not None:
                check_mask(where, f"masks[{name!r}]", mask, code.shape[:-1])
            squares.append(mean_squares(code.detach() if self.detach_code else code, back, mask))
            counts.append(count_rows(code, mask))
        means = torch.stack(squares)
        if self.gather:
            means = mean_over_processes(means, torch.stack(counts).unsqueeze(1).expand_as(means))
        return ratio(means, self.relative).mean()

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"relative={self.relative}, detach_code={self.detach_code}, gather={self.gather}"

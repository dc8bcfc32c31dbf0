"""Reconstruction loss over modalities and real frames."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_same_shape, check_tensor
from mmdisentangle._core.distributed import count_rows, mean_over_processes
from mmdisentangle._core.modalities import check_mapping, check_sequences, in_order, modality_names, resolve_masks
from mmdisentangle.functional import masked_mean_square


class ReconstructionLoss(nn.Module):
    r"""Mean over modalities of the mean squared error over their real frames.

    .. math:: L = \frac{1}{M} \sum_m \mathrm{mean}_{(b,t,d)} (\hat z_{m} - z_{m})^2

    Use it so that shared and private codes together keep what the modality said.

    Args:
        detach_target: treat the target as a constant; where False, the target is moved towards its reconstruction, too.
        gather: take the means over the frames of all processes.

    Shape:
        reconstruction, target ``[B, T_m, D]`` and masks ``[B, T_m]`` per modality; result ``[]``.

    Returns:
        Squared units of the target; a modality without a real frame adds 0.

    Raises:
        ModalityError: the modalities of the arguments differ.
        ShapeError, DtypeError: an argument does not fit.

    Deviations:
        The released RTIL code compares the reconstruction of the time-averaged code with every frame; that form is a
        setting of the model (``reconstruction="pooled"``), not of this loss.

    Example:
        >>> x = {"text": torch.ones(1, 2, 3)}
        >>> ReconstructionLoss()(x, {"text": torch.zeros(1, 2, 3)})
        tensor(1.)
    """

    def __init__(self, *, detach_target: bool = False, gather: bool = False) -> None:
        super().__init__()
        self.detach_target, self.gather = detach_target, gather

    def forward(
        self,
        reconstruction: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss."""
        where = "ReconstructionLoss"
        check_mapping(where, "target", target)
        names = modality_names(where, target)
        reconstruction = in_order(where, "reconstruction", reconstruction, names)
        check_sequences(where, "reconstruction", reconstruction)
        masks = resolve_masks(where, reconstruction, masks)
        terms = []
        for name in names:
            check_tensor(where, f"target[{name!r}]", target[name])
            wanted = target[name].detach() if self.detach_target else target[name]
            check_same_shape(where, f"reconstruction[{name!r}]", reconstruction[name], f"target[{name!r}]", wanted)
            terms.append(masked_mean_square(reconstruction[name] - wanted, masks.get(name)))
        means = torch.stack(terms)
        if self.gather:
            counts = [count_rows(reconstruction[name], masks.get(name)) for name in names]
            means = mean_over_processes(means, torch.stack(counts))
        return means.mean()

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"detach_target={self.detach_target}, gather={self.gather}"

"""Triplet loss across modalities as a module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_axes, check_number, check_tensor
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle._core.errors import ShapeError
from mmdisentangle.functional.modality_triplet import modality_triplet_loss
from mmdisentangle.nn.losses._pairwise import sets_of_modalities


class ModalityTripletLoss(nn.Module):
    r"""Cosine margin across modalities: `mmdisentangle.functional.modality_triplet_loss` on a mapping of modalities.

    .. math:: L = \mathrm{mean}_{(i,j,k)} \max \bigl( 0,\; m - \cos(f_i, f_j) + \cos(f_i, f_k) \bigr)

    over j of the class of i in another modality, and k of another class in the modality of i.

    Args:
        margin: how much nearer the positives must be, in units of the cosine.
        gather: make triplets of the samples of all processes.

    Shape:
        codes and masks: ``[B, D]`` and ``[B]`` per modality; target ``[B]``; result ``[]``.

    Raises:
        SettingError: the margin is negative or not finite.
        ModalityError: fewer than two modalities, or a mask for an unknown one.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = ModalityTripletLoss()
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> loss({"text": x, "audio": torch.ones(2, 2)}, torch.tensor([0, 1]))
        tensor(0.2464)

    References:
        Li, Wang and Cui, "Decoupled Multimodal Distilling for Emotion Recognition", 2023, arXiv:2303.13802.
    """

    def __init__(self, *, margin: float = 0.2, gather: bool = False) -> None:
        super().__init__()
        check_number("ModalityTripletLoss", "margin", margin, low=0)
        self.margin, self.gather = margin, gather

    def forward(self, codes: Mapping[str, Tensor], target: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the loss.

        Args:
            codes: one code per sample of each modality.
            target: class of each sample, integers.
            masks: True = the sample has the modality.
        """
        sets = sets_of_modalities("ModalityTripletLoss", codes, masks, gather=False)
        check_tensor("ModalityTripletLoss", "target", target)
        check_axes("ModalityTripletLoss", "target", target, "B")
        for name, (x, _) in zip(codes, sets, strict=True):
            if x.shape[0] != target.shape[0]:
                raise ShapeError(
                    f"ModalityTripletLoss: codes[{name!r}] must have one row for each of the {target.shape[0]} entries "
                    f"of target, got {x.shape[0]}."
                )
        features = torch.cat([x for x, _ in sets])
        modality = torch.cat([torch.full_like(target, number) for number in range(len(sets))])
        target = target.repeat(len(sets))
        mask = None
        if any(mask is not None for _, mask in sets):
            mask = torch.cat([torch.ones_like(x[:, 0], dtype=torch.bool) if m is None else m for x, m in sets])
        if self.gather:
            (features, both), (numbers, _) = (
                gather_samples(rows, mask) for rows in (features, torch.stack((target, modality), 1))
            )
            (target, modality), mask = numbers.unbind(1), both
        return modality_triplet_loss(features, target, modality, margin=self.margin, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"margin={self.margin}, gather={self.gather}"

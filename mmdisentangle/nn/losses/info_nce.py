"""InfoNCE and NT-Xent as a module, between two modalities or between all pairs of them."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_float, check_mask
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_known, check_mapping, modality_names
from mmdisentangle._core.reduction import Reduction
from mmdisentangle.functional._paired_codes import count_samples
from mmdisentangle.functional.info_nce import ContrastiveCritic, Negatives, check_settings, info_nce


class InfoNCELoss(nn.Module):
    r"""Find a sample's partner in the other modality: `mmdisentangle.functional.info_nce` with its settings.

    .. math:: L_i = -\log \frac{e^{s(x_i, y_i)}}{\sum_j e^{s(x_i, y_j)}}

    Call it on two modalities, or ``pairwise`` on a mapping of any number of them.

    Args:
        temperature: divides the scores.
        critic: ``"cosine"``, ``"dot"``, or ``"bilinear"``, which learns a weight.
        features: widths of x and y, for the bilinear critic only.
        negatives: ``"other"`` modality (InfoNCE), or ``"both"`` (NT-Xent).
        symmetric: mean of both directions.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        gather: take negatives from all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``, or ``[N]`` for ``reduction="none"``.

    Returns:
        Nats.

    Raises:
        SettingError: a setting is unknown, or settings do not fit together.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = InfoNCELoss(temperature=1.0)
        >>> x = torch.eye(2)
        >>> loss(x, x), loss.information(x, x)
        (tensor(0.3133), tensor(0.3799))

    References:
        van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018, arXiv:1807.03748.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        critic: ContrastiveCritic = "cosine",
        features: Sequence[int] | None = None,
        negatives: Negatives = "other",
        symmetric: bool = True,
        reduction: Reduction = "mean",
        gather: bool = False,
    ) -> None:
        super().__init__()
        where = "InfoNCELoss"
        check_settings(where, temperature, critic, negatives, symmetric, reduction)
        if (features is None) == (critic == "bilinear"):
            raise SettingError(f"{where}: critic='bilinear' and features belong together, got critic={critic!r}.")
        if gather and reduction == "none":
            raise SettingError(f"{where}: gather=True needs reduction='mean' or 'sum', got 'none'.")
        self.temperature, self.symmetric, self.gather = temperature, symmetric, gather
        self.critic: ContrastiveCritic = critic
        self.negatives: Negatives = negatives
        self.reduction: Reduction = reduction
        self.weight: nn.Parameter | None = None
        if features is not None:
            for number, width in enumerate(features):
                check_count(where, f"features[{number}]", width)
            if len(features) != 2:
                raise SettingError(f"{where}: features must be two widths, got {features!r}.")
            self.weight = nn.Parameter(torch.empty(*features))
            nn.init.orthogonal_(self.weight)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        return self._loss(*self._gathered(x, y, mask), self.reduction)

    def information(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mutual information in nats that these samples witness, ``log n`` minus the loss; 0 without samples.

        A lower bound in expectation, not of every batch, and for ``negatives="other"`` only.
        """
        if self.negatives == "both":
            raise SettingError(
                "InfoNCELoss.information: negatives='both' bounds no information; use negatives='other'."
            )
        x, y, mask = self._gathered(x, y, mask)
        loss = self._loss(x, y, mask, "mean")
        return count_samples(loss.new_empty(x.shape[0]), mask).clamp(min=1).log() - loss

    def pairwise(self, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean loss over all pairs of modalities.

        Args:
            codes: ``[B, D]`` per modality.
            masks: ``[B]`` per modality, True = the sample has it. A pair that fewer than two samples have is left out.
        """
        where = "InfoNCELoss.pairwise"
        if self.critic == "bilinear" or self.reduction == "none":
            raise SettingError(
                f"{where}: the mean over pairs needs a critic without weights and a reduction, got "
                f"critic={self.critic!r} and reduction={self.reduction!r}."
            )
        check_mapping(where, "codes", codes)
        names = modality_names(where, codes, least=2)
        if masks is not None:
            check_mapping(where, "masks", masks)
        for name in masks or ():
            check_known(where, "masks", name, names)
        for name in names:
            check_float(where, f"codes[{name!r}]", codes[name], "B D")
            if masks is not None and name in masks:
                check_mask(where, f"masks[{name!r}]", masks[name], codes[name].shape[:1])
        losses, counted = [], []
        for one, other in combinations(names, 2):
            given = [masks[name] for name in (one, other) if masks is not None and name in masks]
            mask = torch.stack(given).all(0) if given else None
            x, y, mask = self._gathered(codes[one], codes[other], mask)
            losses.append(self._loss(x, y, mask, self.reduction))
            counted.append(count_samples(losses[-1].new_empty(x.shape[0]), mask) >= 2)
        # A pair with fewer has a loss of 0.
        return torch.stack(losses).sum() / torch.stack(counted).sum().clamp(min=1)

    def _gathered(self, x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        return gather_pairs(x, y, mask) if self.gather else (x, y, mask)

    def _loss(self, x: Tensor, y: Tensor, mask: Tensor | None, reduction: Reduction) -> Tensor:
        return info_nce(
            x,
            y,
            temperature=self.temperature,
            critic=self.critic,
            weight=self.weight,
            negatives=self.negatives,
            symmetric=self.symmetric,
            mask=mask,
            reduction=reduction,
        )

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return (
            f"temperature={self.temperature}, critic={self.critic!r}, negatives={self.negatives!r}, "
            f"symmetric={self.symmetric}, reduction={self.reduction!r}, gather={self.gather}"
        )

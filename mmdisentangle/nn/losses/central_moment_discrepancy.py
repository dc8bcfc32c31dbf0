"""Central moment discrepancy as a module, between two sets or between all pairs of modalities."""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_bounds, check_count, check_float, check_width
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle._core.modalities import check_known, check_mapping, modality_names
from mmdisentangle.functional.central_moment_discrepancy import (
    SampleMask,
    central_moment_discrepancy,
    central_moments,
    moment_distance,
)


class CentralMomentDiscrepancy(nn.Module):
    r"""Distance between distributions of codes: `functional.central_moment_discrepancy` with its settings.

    .. math:: \frac{\|E x - E y\|_2}{b - a} + \sum_{k=2}^{K} \frac{\|E (x - E x)^k - E (y - E y)^k\|_2}{|b - a|^k}

    Call it on two sets, or `pairwise` on a mapping of modalities, which computes each modality's moments once.

    Args:
        num_moments: highest order K.
        bounds: interval the codes live in.
        min_samples: a set with fewer samples adds 0.
        gather: take the moments over the samples of all processes.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Raises:
        SettingError: a setting is out of range.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = CentralMomentDiscrepancy()
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> loss(x, x), loss.pairwise({"text": x, "audio": x / 2})
        (tensor(0.), tensor(0.4961))

    References:
        Zellinger et al., "Central Moment Discrepancy (CMD) for Domain-Invariant Representation Learning", 2017,
        arXiv:1702.08811.
    """

    def __init__(
        self,
        *,
        num_moments: int = 5,
        bounds: tuple[float, float] = (0.0, 1.0),
        min_samples: int = 2,
        gather: bool = False,
    ) -> None:
        super().__init__()
        where = "CentralMomentDiscrepancy"
        check_count(where, "num_moments", num_moments)
        check_count(where, "min_samples", min_samples)
        check_bounds(where, bounds)
        self.num_moments, self.bounds = num_moments, (bounds[0], bounds[1])
        self.min_samples, self.gather = min_samples, gather

    def forward(self, x: Tensor, y: Tensor, mask: SampleMask = None) -> Tensor:
        """Distance of two sets; ``mask`` is one ``[N]`` tensor for both, or a pair."""
        mask_x, mask_y = mask if isinstance(mask, tuple) else (mask, mask)
        if self.gather:
            (x, mask_x), (y, mask_y) = gather_samples(x, mask_x), gather_samples(y, mask_y)
        return central_moment_discrepancy(
            x,
            y,
            num_moments=self.num_moments,
            bounds=self.bounds,
            mask=(mask_x, mask_y),
            min_samples=self.min_samples,
        )

    def pairwise(self, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean distance over all pairs of modalities.

        Args:
            codes: ``[B, D]`` per modality.
            masks: ``[B]`` per modality, True = the sample has it. A pair without enough samples of both is left out.
        """
        where = "CentralMomentDiscrepancy.pairwise"
        check_mapping(where, "codes", codes)
        names = modality_names(where, codes, least=2)
        if masks is not None:
            check_mapping(where, "masks", masks)
        for name in masks or ():
            check_known(where, "masks", name, names)
        moments, enough = [], []
        for name in names:
            check_float(where, f"codes[{name!r}]", codes[name], "B D")
            check_width(where, f"codes[{name!r}]", codes[name], codes[names[0]].shape[-1])
            x, mask = codes[name], None if masks is None else masks.get(name)
            if self.gather:
                x, mask = gather_samples(x, mask)
            moments.append(central_moments(x, self.num_moments, mask))
            count = torch.full((), x.shape[0], device=x.device) if mask is None else mask.sum()
            enough.append(count >= self.min_samples)
        pairs = list(combinations(range(len(names)), 2))
        counted = [enough[i] & enough[j] for i, j in pairs]
        distances = [
            moment_distance(moments[i], moments[j], bounds=self.bounds, enough=both)
            for (i, j), both in zip(pairs, counted, strict=True)
        ]
        return torch.stack(distances).sum() / torch.stack(counted).sum().clamp(min=1)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"num_moments={self.num_moments}, bounds={self.bounds}"

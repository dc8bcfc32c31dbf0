"""Central moment discrepancy as a module, between two sets or between all pairs of modalities."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_bounds, check_count
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.central_moment_discrepancy import (
    central_moment_discrepancy,
    distance_of_moments,
    moments_of_sets,
)
from mmdisentangle.nn.losses._pairwise import pairs_with_enough, sets_of_modalities


class CentralMomentDiscrepancy(nn.Module):
    r"""Distance between distributions of codes: `functional.central_moment_discrepancy` with its settings.

    .. math:: \frac{\|E x - E y\|_2}{b - a} + \sum_{k=2}^{K} \frac{\|E (x - E x)^k - E (y - E y)^k\|_2}{|b - a|^k}

    Call it on two sets, or ``pairwise`` on a mapping of modalities, which computes each modality's moments once.

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
        sets = sets_of_modalities("CentralMomentDiscrepancy.pairwise", codes, masks, gather=self.gather)
        moments = self._moments(sets)
        pairs = list(combinations(range(len(sets)), 2))
        first, second = (torch.stack([moments[pair[end]] for pair in pairs]) for end in (0, 1))
        if all(mask is None and x.shape[0] >= self.min_samples for x, mask in sets):
            return distance_of_moments(first - second, self.bounds, None).mean()
        counted = pairs_with_enough(sets, self.min_samples)
        distances = distance_of_moments(first - second, self.bounds, counted)
        return distances.sum() / counted.sum().clamp(min=1)

    def _moments(self, sets: Sequence[tuple[Tensor, Tensor | None]]) -> Sequence[Tensor]:
        """Moments of every set; of all together where they have one shape, which takes fewer and larger steps."""
        codes, masks = zip(*sets, strict=True)
        alike = all(x.shape == codes[0].shape and (mask is None) == (masks[0] is None) for x, mask in sets)
        if alike:
            mask = None if masks[0] is None else torch.stack(masks)
            return moments_of_sets(torch.stack(codes), self.num_moments, mask).unbind()
        return [moments_of_sets(x, self.num_moments, mask) for x, mask in sets]

    def extra_repr(self) -> str:
        """Settings in the repr."""
        settings = f"num_moments={self.num_moments}, bounds={self.bounds}, min_samples={self.min_samples}"
        return f"{settings}, gather={self.gather}"

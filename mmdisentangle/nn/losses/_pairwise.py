"""Losses between two sets of codes, or all pairs of modalities."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_float, check_mask, check_width
from mmdisentangle._core.distributed import gather_samples
from mmdisentangle._core.modalities import check_known, check_mapping, modality_names
from mmdisentangle.functional._two_sets import SampleMask, enough_samples

Samples = tuple[Tensor, Tensor | None]


def sets_of_modalities(
    where: str, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None, *, gather: bool
) -> list[Samples]:
    """Codes ``[B, D]`` and mask ``[B]`` of every modality after checking them, of all processes with ``gather``."""
    check_mapping(where, "codes", codes)
    names = modality_names(where, codes, least=2)
    if masks is not None:
        check_mapping(where, "masks", masks)
    for name in masks or ():
        check_known(where, "masks", name, names)
    sets: list[Samples] = []
    for name in names:
        check_float(where, f"codes[{name!r}]", codes[name], "B D")
        check_width(where, f"codes[{name!r}]", codes[name], codes[names[0]].shape[-1])
        mask = None if masks is None else masks.get(name)
        if mask is not None:
            check_mask(where, f"masks[{name!r}]", mask, codes[name].shape[:1])
        sets.append(gather_samples(codes[name], mask) if gather else (codes[name], mask))
    return sets


def pairs_with_enough(sets: Sequence[Samples], least: int) -> Tensor:
    """Boolean, one entry per pair of sets in the order of ``combinations``: both have enough samples."""
    enough = [enough_samples(x, mask, least) for x, mask in sets]
    return torch.stack([one & other for one, other in combinations(enough, 2)])


def mean_over_pairs(distance: Callable[..., Tensor], sets: Sequence[Samples]) -> Tensor:
    """Mean of ``distance(x, y, mask=(mask_x, mask_y))``, pairs without two samples each (whose distance is 0) apart."""
    distances = torch.stack([distance(x, y, mask=(of_x, of_y)) for (x, of_x), (y, of_y) in combinations(sets, 2)])
    return distances.sum() / pairs_with_enough(sets, 2).sum().clamp(min=1)


class TwoSetLoss(nn.Module, ABC):
    """A distance of two sets of codes, on two tensors or on all pairs of modalities.

    Args:
        gather: take the samples of all processes.
    """

    def __init__(self, *, gather: bool) -> None:
        super().__init__()
        self.gather = gather

    @abstractmethod
    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        """Return the distance of the sets, 0-dim."""

    def forward(self, x: Tensor, y: Tensor, mask: SampleMask = None) -> Tensor:
        """Distance of two sets; ``mask`` is one ``[N]`` tensor for both, or a pair."""
        mask_x, mask_y = mask if isinstance(mask, tuple) else (mask, mask)
        if self.gather:
            (x, mask_x), (y, mask_y) = gather_samples(x, mask_x), gather_samples(y, mask_y)
        return self._distance(x, y, mask=(mask_x, mask_y))

    def pairwise(self, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean distance over all pairs of modalities.

        Args:
            codes: ``[B, D]`` per modality.
            masks: ``[B]`` per modality, True = the sample has it. A pair without two samples of both is left out.
        """
        where = f"{type(self).__name__}.pairwise"
        return mean_over_pairs(self._distance, sets_of_modalities(where, codes, masks, gather=self.gather))

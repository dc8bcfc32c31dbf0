"""Correlation alignment as a module, between two sets or between all pairs of modalities."""

from collections.abc import Mapping

from torch import Tensor, nn

from mmdisentangle._core.distributed import gather_samples
from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.coral import coral
from mmdisentangle.nn.losses._pairwise import mean_over_pairs, sets_of_modalities


class CORALLoss(nn.Module):
    r"""Squared distance between covariances: `mmdisentangle.functional.coral`.

    .. math:: L = \frac{1}{4 D^2} \| C_x - C_y \|_F^2

    Call it on two sets, or `pairwise` on a mapping of modalities.

    Args:
        gather: take the covariances over the samples of all processes.

    Shape:
        x ``[N, D]``, y ``[M, D]``; result ``[]``.

    Raises:
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = CORALLoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 2 * x), loss.pairwise({"text": x, "audio": x + 3})
        (tensor(9.), tensor(0.))

    References:
        Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", 2016, arXiv:1607.01719.
    """

    def __init__(self, *, gather: bool = False) -> None:
        super().__init__()
        self.gather = gather

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
        return mean_over_pairs(
            self._distance, sets_of_modalities("CORALLoss.pairwise", codes, masks, gather=self.gather)
        )

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return coral(x, y, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"gather={self.gather}"

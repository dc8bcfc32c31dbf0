"""Correlation alignment as a module, between two sets or between all pairs of modalities."""

from torch import Tensor

from mmdisentangle.functional._two_sets import SampleMask
from mmdisentangle.functional.coral import coral
from mmdisentangle.nn.losses._pairwise import TwoSetLoss


class CORALLoss(TwoSetLoss):
    r"""Squared distance between covariances: `mmdisentangle.functional.coral`.

    .. math:: L = \frac{1}{4 D^2} \| C_x - C_y \|_F^2

    Call it on two sets, or ``pairwise`` on a mapping of modalities.

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
        super().__init__(gather=gather)

    def _distance(self, x: Tensor, y: Tensor, mask: SampleMask) -> Tensor:
        return coral(x, y, mask=mask)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"gather={self.gather}"

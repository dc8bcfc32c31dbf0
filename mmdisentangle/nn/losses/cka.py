"""Centred kernel alignment as a module."""

from torch import Tensor, nn

from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional._kernel_dependence import DependenceKernel, check_dependence
from mmdisentangle.functional.cka import cka


class CKALoss(nn.Module):
    r"""Dependence between paired codes, without units: `mmdisentangle.functional.cka` with its settings.

    .. math:: \mathrm{CKA} = \frac{\mathrm{HSIC}(x, y)}{\sqrt{\mathrm{HSIC}(x, x) \, \mathrm{HSIC}(y, y)}}

    Args:
        kernel: ``"linear"``, linear dependence at a cost of n D^2, or ``"rbf"``, every kind at n^2.
        unbiased: near 0 on independent data, values may be negative; needs four samples.
        bandwidth: sigma of the Gaussian kernel; where None, the median distance in each set.
        gather: take the batch over all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: an unknown kernel, or settings that do not fit together.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = CKALoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 3 * x)
        tensor(1.)

    References:
        Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, arXiv:1905.00414.
    """

    def __init__(
        self,
        *,
        kernel: DependenceKernel = "linear",
        unbiased: bool = False,
        bandwidth: float | None = None,
        gather: bool = False,
    ) -> None:
        super().__init__()
        check_dependence("CKALoss", kernel, unbiased, bandwidth)
        self.kernel: DependenceKernel = kernel
        self.unbiased, self.bandwidth, self.gather = unbiased, bandwidth, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return cka(x, y, kernel=self.kernel, unbiased=self.unbiased, mask=mask, bandwidth=self.bandwidth)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"kernel={self.kernel!r}, unbiased={self.unbiased}, bandwidth={self.bandwidth}"

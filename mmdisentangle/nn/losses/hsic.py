"""Hilbert-Schmidt independence criterion as a module."""

from torch import Tensor, nn

from mmdisentangle._core.checks import check_flag
from mmdisentangle._core.distributed import gather_pairs
from mmdisentangle.functional._kernel_dependence import DependenceKernel, check_dependence
from mmdisentangle.functional.hsic import hsic


class HSICLoss(nn.Module):
    r"""Dependence between paired codes: `mmdisentangle.functional.hsic` with its settings.

    .. math:: \mathrm{HSIC} = \frac{\mathrm{tr}(U K_x U K_y)}{(n - 1)^2}

    Args:
        kernel: ``"linear"``, linear dependence at a cost of n D^2, or ``"rbf"``, every kind at n^2.
        unbiased: mean 0 on independent data, values may be negative; needs four samples.
        normalize: scale every code to length one first: bounded whatever the width, blind to the lengths of codes.
        bandwidth: sigma of the Gaussian kernel; where None, the median distance in each set.
        gather: take the batch over all processes.

    Shape:
        x ``[N, D1]``, y ``[N, D2]``, mask ``[N]``; result ``[]``.

    Raises:
        SettingError: an unknown kernel, or settings that do not fit together.
        ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> loss = HSICLoss()
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> loss(x, 3 * x)
        tensor(36.)

    References:
        Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005,
        doi:10.1007/11564089_7.
        Yang et al., 2024, arXiv:2407.04955 (between modality-exclusive and modality-agnostic codes).
    """

    def __init__(
        self,
        *,
        kernel: DependenceKernel = "linear",
        unbiased: bool = False,
        normalize: bool = False,
        bandwidth: float | None = None,
        gather: bool = False,
    ) -> None:
        super().__init__()
        check_dependence("HSICLoss", kernel, unbiased, bandwidth)
        check_flag("HSICLoss", "normalize", normalize)
        self.kernel: DependenceKernel = kernel
        self.unbiased, self.normalize, self.bandwidth, self.gather = unbiased, normalize, bandwidth, gather

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss; ``mask [N]`` is True where the sample has both codes."""
        if self.gather:
            x, y, mask = gather_pairs(x, y, mask)
        return hsic(
            x,
            y,
            kernel=self.kernel,
            unbiased=self.unbiased,
            mask=mask,
            bandwidth=self.bandwidth,
            normalize=self.normalize,
        )

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return (
            f"kernel={self.kernel!r}, unbiased={self.unbiased}, normalize={self.normalize}, bandwidth={self.bandwidth}"
        )

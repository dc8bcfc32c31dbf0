"""The default encoder of a modality: masked dilated convolutions over time."""

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import zero_where_invalid


class TemporalConvEncoder(nn.Module):
    r"""Encode every frame with its neighbourhood.

    .. math:: h^0 = W x + b, \qquad h^{l+1} = h^l + \mathrm{FFN}(\mathrm{LayerNorm}(\mathrm{DepthwiseConv}_{2^l}(h^l)))

    A linear map to the common width, then residual blocks whose dilation doubles, so that ``num_blocks`` of ``kernel_size`` see
    ``1 + (kernel_size - 1)(2^num_blocks - 1)`` frames. Good for three-channel sensors as for wide text features. Length and mask
    stay as they are; the cost is linear in T.

    Args:
        in_features: width of the input.
        features: width of the result.
        num_blocks: residual blocks; 0 leaves a linear map per frame.
        kernel_size: odd.
        expansion: width of the feed-forward network over ``features``.
        dropout: at the end of every block.

    Shape:
        x ``[B, T, in_features]``, mask ``[B, T]``; result ``[B, T, features]``, padded frames 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range, an even kernel size.

    Example:
        >>> TemporalConvEncoder(3, 16)(torch.randn(2, 50, 3)).shape
        torch.Size([2, 50, 16])

    References:
        Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling",
        2018, arXiv:1803.01271. Liu et al., "A ConvNet for the 2020s", 2022, arXiv:2201.03545 (the block).
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        num_blocks: int = 3,
        kernel_size: int = 5,
        expansion: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        where = "TemporalConvEncoder"
        check_count(where, "in_features", in_features)
        check_count(where, "features", features)
        check_count(where, "num_blocks", num_blocks, low=0)
        check_count(where, "kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise SettingError(f"{where}: kernel_size must be odd, so that frames stay in place, got {kernel_size}.")
        check_count(where, "expansion", expansion)
        check_number(where, "dropout", dropout, low=0, high=1)
        self.in_features, self.out_features = in_features, features
        self.stem = nn.Linear(in_features, features)
        self.blocks = nn.ModuleList(
            _Block(features, kernel_size, 2**index, expansion, dropout) for index in range(num_blocks)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode every real frame."""
        check_float("TemporalConvEncoder", "x", x, "B T D")
        check_width("TemporalConvEncoder", "x", x, self.in_features)
        if mask is None:
            mask = x.new_ones(x.shape[:2]).bool()
        check_mask("TemporalConvEncoder", "mask", mask, x.shape[:2])
        x = zero_where_invalid(self.stem(zero_where_invalid(x, mask)), mask)
        if x.shape[1] == 0:
            return x
        for block in self.blocks:
            x = zero_where_invalid(x + block(x), mask)
        return x


class _Block(nn.Module):
    def __init__(self, features: int, kernel_size: int, dilation: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(
            features,
            features,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=features,
        )
        self.feedforward = nn.Sequential(
            nn.LayerNorm(features),
            nn.Linear(features, expansion * features),
            nn.GELU(),
            nn.Linear(expansion * features, features),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.feedforward(self.convolution(x.mT).mT)
        return result

"""The default encoder of a modality: masked dilated convolutions over time."""

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import gelu

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._convolution import convolution
from mmdisentangle.nn._dropout import Dropout


class TemporalConvEncoder(nn.Module):
    r"""Encode every frame with its neighbourhood.

    .. math:: h^0 &= \mathrm{Conv}_1(x) \\
              h^l &= h^{l-1} + \mathrm{Dropout}(\mathrm{Conv}_{2^{l-1}}(\mathrm{GELU}(\mathrm{LayerNorm}(h^{l-1})))) \\
              y &= \mathrm{LayerNorm}(h^L)

    A convolution to the common width, then residual blocks whose dilation doubles: ``num_blocks`` of them see
    ``1 + (kernel_size - 1) * 2^num_blocks`` frames. Good for three-channel sensors as for wide text features. Length
    and mask stay as they are, norms are per frame, and the cost is linear in T.

    Args:
        in_features: width of the input.
        features: width of the result.
        num_blocks: residual blocks; 0 leaves the first convolution.
        kernel_size: odd.
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
        Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
        Modeling", 2018, arXiv:1803.01271.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        num_blocks: int = 4,
        kernel_size: int = 5,
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
        check_number(where, "dropout", dropout, low=0, high=1)
        self.in_features, self.out_features = in_features, features
        self.stem = FrameConvolution(in_features, features, kernel_size)
        self.blocks = nn.ModuleList(
            _Block(features, kernel_size, dilation=2**index, dropout=dropout) for index in range(num_blocks)
        )
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode every real frame."""
        check_float("TemporalConvEncoder", "x", x, "B T D")
        check_width("TemporalConvEncoder", "x", x, self.in_features)
        if mask is not None:
            check_mask("TemporalConvEncoder", "mask", mask, x.shape[:2])
        if x.shape[1] == 0:
            # No frame to convolve; still a function of x and of the parameters.
            return self._normalized(x[..., :1].expand(-1, -1, self.out_features), mask)
        x = self.stem(zero_where_invalid(x, mask))
        for block in self.blocks:
            x = block(x, mask)
        return self._normalized(x, mask)

    def _normalized(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return zero_where_invalid(self.norm(x), mask)


class _Block(nn.Module):
    def __init__(self, features: int, kernel_size: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.convolution = FrameConvolution(features, features, kernel_size, dilation=dilation)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        change: Tensor = self.dropout(self.convolution(zero_where_invalid(gelu(self.norm(x)), mask)))
        return x + change


class FrameConvolution(nn.Conv2d):
    """Convolution over time of ``[B, T, D]``.

    As a two-dimensional one of height 1 it takes features-last tensors as they lie in memory: 1.4 to 1.9 times as fast
    on a CPU as ``nn.Conv1d`` between two transpositions.
    """

    def __init__(
        self, in_features: int, features: int, kernel_size: int, *, dilation: int = 1, bias: bool = True
    ) -> None:
        padding = (0, dilation * (kernel_size // 2))
        super().__init__(in_features, features, (1, kernel_size), padding=padding, dilation=(1, dilation), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[B, T, D]``."""
        across, along = self.padding, self.dilation
        assert not isinstance(across, str)
        moved = convolution(
            rearrange(x, "b t d -> b d 1 t"),
            self.weight,
            self.bias,
            padding=(across[0], across[1]),
            dilation=(along[0], along[1]),
        )
        return rearrange(moved, "b d 1 t -> b t d")

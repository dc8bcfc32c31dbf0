"""The recurrent encoder of MEA: convolution, positions, bidirectional LSTM."""

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import sinusoidal_positions
from mmdisentangle.functional._resampling import compact_frames
from mmdisentangle.nn.layers.temporal_conv import FrameConvolution


class RecurrentEncoder(nn.Module):
    r"""Encode every frame with all that came before and after it.

    .. math:: u = \mathrm{Conv}(x) + \alpha\, \mathrm{PE}, \qquad
              y_t = [\overrightarrow{\mathrm{LSTM}}(u)_t ; \overleftarrow{\mathrm{LSTM}}(u)_t]

    The backward direction starts at the last real frame of each sample, not at the end of the batch's padding. torch
    2.13 can neither compile an LSTM with ``fullgraph=True`` nor export it with a changing length: use
    `TemporalConvEncoder` where that matters.

    Args:
        in_features: width of the input.
        features: width of the result, at least 2; half of it per direction.
        kernel_size: of the convolution; odd.
        position_scale: :math:`\alpha`, amplitude of the sinusoidal position encoding of real frames.

    Shape:
        x ``[B, T, in_features]``, mask ``[B, T]``, padding on either side or in between; result ``[B, T, features]``,
        padded frames 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range, an even kernel size.

    Example:
        >>> RecurrentEncoder(3, 16)(torch.randn(2, 50, 3)).shape
        torch.Size([2, 50, 16])

    References:
        Graves and Schmidhuber, "Framewise Phoneme Classification with Bidirectional LSTM and Other Neural Network
        Architectures", 2005, doi:10.1016/j.neunet.2005.06.042.
    """

    def __init__(self, in_features: int, features: int, *, kernel_size: int = 3, position_scale: float = 1.0) -> None:
        super().__init__()
        where = "RecurrentEncoder"
        check_count(where, "in_features", in_features)
        check_count(where, "features", features, low=2)
        check_count(where, "kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise SettingError(f"{where}: kernel_size must be odd, so that frames stay in place, got {kernel_size}.")
        check_number(where, "position_scale", position_scale)
        self.in_features, self.out_features, self.position_scale = in_features, features, position_scale
        self.convolution = FrameConvolution(in_features, features, kernel_size)
        self.forwards = nn.LSTM(features, features - features // 2, batch_first=True)
        self.backwards = nn.LSTM(features, features // 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode every real frame."""
        check_float("RecurrentEncoder", "x", x, "B T D")
        check_width("RecurrentEncoder", "x", x, self.in_features)
        if mask is not None:
            check_mask("RecurrentEncoder", "mask", mask, x.shape[:2])
        if x.shape[0] == 0 or x.shape[1] == 0:
            # No frame to encode; still a function of x.
            return x[..., :1].expand(-1, -1, self.out_features)
        u = self.convolution(zero_where_invalid(x, mask))
        if mask is None:
            u = u + self._positions(torch.arange(x.shape[1], device=x.device)).to(u.dtype)
            return torch.cat((self.forwards(u)[0], self.backwards(u.flip(1))[0].flip(1)), -1)
        positions = frame_positions(mask)
        u = zero_where_invalid(u + self._positions(positions).to(u.dtype), mask)
        # Real frames in front, in order and in reverse: what follows them cannot reach back.
        last = mask.sum(1, keepdim=True) - 1
        ahead = self._run(self.forwards, u, positions, mask)
        behind = self._run(self.backwards, u, last - positions, mask)
        return zero_where_invalid(torch.cat((ahead, behind), -1), mask)

    def _positions(self, positions: Tensor) -> Tensor:
        return self.position_scale * sinusoidal_positions(positions, self.out_features)

    @staticmethod
    def _run(lstm: nn.LSTM, u: Tensor, order: Tensor, mask: Tensor) -> Tensor:
        """Run over real frames in the given order, and bring every result back to its frame."""
        encoded: Tensor = lstm(compact_frames(u, order, mask))[0]
        back = torch.where(mask, order, 0).unsqueeze(-1)
        return encoded.gather(1, back.expand(-1, -1, encoded.shape[2]))

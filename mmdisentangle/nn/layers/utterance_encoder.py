"""The recurrent utterance encoder of MISA: two bidirectional LSTMs, of which the last states are kept."""

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_width
from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._resampling import compact_frames


class RecurrentUtteranceEncoder(nn.Module):
    r"""Encode a whole sequence as one vector: the final states of two stacked bidirectional LSTMs.

    .. math:: h^1 = \mathrm{BiLSTM}_1(x), \qquad h^2 = \mathrm{BiLSTM}_2(\mathrm{LayerNorm}(h^1)), \qquad
              u = [\overrightarrow{h}^1_T; \overrightarrow{h}^2_T; \overleftarrow{h}^1_1; \overleftarrow{h}^2_1]

    Each direction ends at a sample's own last (first) real frame. torch 2.13 can neither compile an LSTM with
    ``fullgraph=True`` nor export it with a changing length; where that matters, average `TemporalConvEncoder`.

    Args:
        in_features: width of the input.
        features: width of every direction; that of the input where None, as in the released code of MISA.

    Shape:
        x ``[B, T, in_features]``, mask ``[B, T]``, padding on either side or in between; result ``[B, 4 features]``.

    Returns:
        One vector per sample; 0 without a real frame.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a width below 1.

    Example:
        >>> RecurrentUtteranceEncoder(3, 8)(torch.randn(2, 50, 3)).shape
        torch.Size([2, 32])

    References:
        Hazarika et al., "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment Analysis",
        2020, arXiv:2005.03545.
    """

    def __init__(self, in_features: int, features: int | None = None) -> None:
        super().__init__()
        where = "RecurrentUtteranceEncoder"
        check_count(where, "in_features", in_features)
        features = in_features if features is None else features
        check_count(where, "features", features)
        self.in_features, self.out_features = in_features, 4 * features
        self.first = _BidirectionalLSTM(in_features, features)
        self.norm = nn.LayerNorm(2 * features)
        self.second = _BidirectionalLSTM(2 * features, features)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode every sample."""
        check_float("RecurrentUtteranceEncoder", "x", x, "B T D")
        check_width("RecurrentUtteranceEncoder", "x", x, self.in_features)
        if mask is not None:
            check_mask("RecurrentUtteranceEncoder", "mask", mask, x.shape[:2])
        if x.shape[0] == 0 or x.shape[1] == 0:
            # No frame to encode; still a function of x.
            return x.sum((1, 2)).unsqueeze(-1).expand(-1, self.out_features)
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        # Real frames in front: what follows them is not read by either direction.
        count = mask.sum(1)
        x = compact_frames(x, frame_positions(mask), mask)
        sequence, ahead, behind = self.first(x, count)
        _, ahead_2, behind_2 = self.second(self.norm(sequence), count)
        return zero_where_invalid(torch.cat((ahead, ahead_2, behind, behind_2), -1), count > 0)


class _BidirectionalLSTM(nn.Module):
    """Two LSTMs over sequences whose first ``count`` frames are real; results beyond them mean nothing."""

    def __init__(self, in_features: int, features: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(in_features, features, batch_first=True)
        self.backwards = nn.LSTM(in_features, features, batch_first=True)

    def forward(self, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return frames ``[B, T, 2 D]`` and the final state of each direction ``[B, D]``."""
        place = torch.arange(x.shape[1], device=x.device)
        last = (count - 1).clamp(min=0).unsqueeze(1)
        # Real frames in reverse, the others after them.
        turned = torch.where(place <= last, last - place, place).unsqueeze(-1)
        ahead: Tensor = self.forwards(x)[0]
        behind: Tensor = self.backwards(x.gather(1, turned.expand_as(x)))[0]
        end = last.unsqueeze(-1).expand(-1, 1, ahead.shape[2])
        frames = torch.cat((ahead, behind.gather(1, turned.expand_as(behind))), -1)
        return frames, ahead.gather(1, end).squeeze(1), behind.gather(1, end).squeeze(1)

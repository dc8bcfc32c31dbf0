"""A stack of pre-norm attention layers that reads another modality at every layer."""

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from mmdisentangle._core.checks import check_count, check_flag, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError, ShapeError
from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import sinusoidal_positions
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn.layers.transformer_block import FeedForward


class CrossModalTransformer(nn.Module):
    r"""Carry what a source modality says over to the frames of a target of another length, layer by layer.

    .. math:: h^0 = \sqrt d\, t + \mathrm{PE}, \qquad c = \sqrt d\, s + \mathrm{PE}

    .. math:: y^l = h^{l-1} + \mathrm{Attention}(\mathrm{LN}(h^{l-1}), \mathrm{LN}(c)), \qquad
              h^l = y^l + \mathrm{FFN}(\mathrm{LN}(y^l)), \qquad \text{result } \mathrm{LN}(h^L)

    with dropout after attention and feed-forward network. Every layer reads the source as it came; target and source
    share a layer's norm. Without a source it is a Transformer encoder: :math:`c` is :math:`h^{l-1}`.

    Args:
        features: width d of both.
        num_heads: must divide ``features``.
        num_layers: how often the source is read.
        feedforward_features: four times ``features`` where None.
        dropout: after attention and feed-forward network.
        feedforward_dropout: inside the feed-forward network.
        attention_dropout: on the attention weights. Above 0 it makes some backends store the Tt x Ts map.
        embedding_dropout: on target and source with their positions.
        causal: frame i of the target sees the source up to frame ``i + |difference of their lengths|`` alone, counted
            in real frames, as in the released code of MulT. It stores a Tt x Ts mask per sample.
        checkpoint_activations: keep the sequences between layers only, and compute every layer again in the backward
            pass.

    Shape:
        target ``[B, Tt, d]``, source ``[B, Ts, d]``, target_mask ``[B, Tt]``, source_mask ``[B, Ts]``; result
        ``[B, Tt, d]``, padded frames 0.

    Returns:
        The target's frames. A sample without a source frame attends to nothing.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range.

    Deviations:
        Keys have no bias, which softmax does not see. Positions are those of real frames, counted from 0; the released
        code of MulT counts from 1, and takes a frame whose first feature is exactly 0 for padding.

    Example:
        >>> transformer = CrossModalTransformer(8, num_heads=2, num_layers=2)
        >>> transformer(torch.randn(1, 3, 8), torch.randn(1, 50, 8)).shape
        torch.Size([1, 3, 8])

    References:
        Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", 2019, arXiv:1906.00295.
    """

    def __init__(
        self,
        features: int,
        *,
        num_heads: int = 8,
        num_layers: int = 4,
        feedforward_features: int | None = None,
        dropout: float = 0.1,
        feedforward_dropout: float = 0.1,
        attention_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        causal: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        where = "CrossModalTransformer"
        feedforward_features = 4 * features if feedforward_features is None else feedforward_features
        check_count(where, "features", features)
        check_count(where, "num_heads", num_heads)
        check_count(where, "num_layers", num_layers)
        check_count(where, "feedforward_features", feedforward_features)
        if features % num_heads:
            raise SettingError(f"{where}: num_heads must divide features={features}, got {num_heads}.")
        for name, value in (
            ("dropout", dropout),
            ("feedforward_dropout", feedforward_dropout),
            ("attention_dropout", attention_dropout),
            ("embedding_dropout", embedding_dropout),
        ):
            check_number(where, name, value, low=0, high=1)
        check_flag(where, "causal", causal)
        check_flag(where, "checkpoint_activations", checkpoint_activations)
        self.features, self.causal, self.checkpoint_activations = features, causal, checkpoint_activations
        self.embedding_dropout = Dropout(embedding_dropout)
        self.layers = nn.ModuleList(
            _Layer(features, num_heads, feedforward_features, dropout, feedforward_dropout, attention_dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(features)

    def forward(
        self,
        target: Tensor,
        source: Tensor | None = None,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the frames of the target; ``source=None`` is self-attention."""
        where = "CrossModalTransformer"
        for name, x, mask in (("target", target, target_mask), ("source", source, source_mask)):
            if x is None:
                continue
            check_float(where, name, x, "B T D")
            check_width(where, name, x, self.features)
            if mask is not None:
                check_mask(where, f"{name}_mask", mask, x.shape[:2])
        if source is not None and source.shape[0] != target.shape[0]:
            raise ShapeError(
                f"{where}: target and source must have the same batch size, got {target.shape[0]} and "
                f"{source.shape[0]}."
            )
        if source is None:
            source_mask = target_mask
        elif source.shape[1] == 0:
            # One frame that no one may look at stands for an empty sequence.
            source = pad(source, (0, 0, 0, 1))
            source_mask = source.new_zeros(source.shape[:2]).bool()
        x = self._embedded(target, target_mask)
        context = None if source is None else self._embedded(source, source_mask)
        seen, here = self._seen(target, source if source is not None else target, target_mask, source_mask)
        for layer in self.layers:
            x = checkpointed(layer, x, context, seen, here, active=self.checkpoint_activations)
        return zero_where_invalid(cast(Tensor, self.norm(x)), target_mask)

    def _embedded(self, x: Tensor, mask: Tensor | None) -> Tensor:
        place = torch.arange(x.shape[1], device=x.device) if mask is None else frame_positions(mask)
        positions = sinusoidal_positions(place, self.features).to(x.dtype)
        embedded: Tensor = self.embedding_dropout(self.features**0.5 * zero_where_invalid(x, mask) + positions)
        return embedded

    def _seen(
        self, target: Tensor, source: Tensor, target_mask: Tensor | None, source_mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Which frames attention may look at, ``[B, 1, 1 or Tt, Ts]``, and which samples have any, ``[B]``."""
        here = None if source_mask is None else source_mask.any(-1)
        seen = None if source_mask is None else source_mask[:, None, None, :]
        if self.causal:
            (place, length), (other_place, other_length) = (
                _counted(target, target_mask),
                _counted(source, source_mask),
            )
            ahead = (length - other_length).abs()[:, None, None]
            early = (other_place.unsqueeze(1) <= place.unsqueeze(2) + ahead).unsqueeze(1)
            seen = early if seen is None else seen & early
        if seen is None or here is None:
            return seen, here
        # Rows without a real frame are opened, so that no backend divides 0 by 0; they are zeroed afterwards.
        return seen | ~here[:, None, None, None], here


def _counted(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Number of every real frame ``[1 or B, T]``, and how many there are ``[1 or B]``."""
    if mask is not None:
        return frame_positions(mask), mask.sum(1)
    return torch.arange(x.shape[1], device=x.device).unsqueeze(0), torch.full((1,), x.shape[1], device=x.device)


class _Layer(nn.Module):
    def __init__(
        self,
        features: int,
        num_heads: int,
        feedforward_features: int,
        dropout: float,
        feedforward_dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.num_heads, self.attention_dropout = num_heads, attention_dropout
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(features), nn.LayerNorm(features)
        self.query, self.value = nn.Linear(features, features), nn.Linear(features, features)
        self.key = nn.Linear(features, features, bias=False)
        self.output = nn.Linear(features, features)
        widen, narrow = nn.Linear(features, feedforward_features), nn.Linear(feedforward_features, features)
        self.feedforward = FeedForward(widen, nn.ReLU(), Dropout(feedforward_dropout), narrow)
        self.dropout = Dropout(dropout)
        for linear in (self.query, self.key, self.value):
            # As one map of d to 3 d, which is how the released code draws them.
            nn.init.xavier_uniform_(linear.weight, gain=0.5**0.5)
        for linear in (self.output, widen, narrow):
            nn.init.xavier_uniform_(linear.weight)
        for linear in (self.query, self.value, self.output, widen, narrow):
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, context: Tensor | None, seen: Tensor | None, here: Tensor | None) -> Tensor:
        own = self.norm_attention(x)
        other = own if context is None else self.norm_attention(context)
        query, key, value = (
            rearrange(part, "batch time (heads features) -> batch heads time features", heads=self.num_heads)
            for part in (self.query(own), self.key(other), self.value(other))
        )
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=seen, dropout_p=self.attention_dropout if self.training else 0.0
        )
        moved = self.output(rearrange(attended, "batch heads time features -> batch time (heads features)"))
        x = x + self.dropout(zero_where_invalid(moved, here))
        y: Tensor = x + self.dropout(self.feedforward(self.norm_feedforward(x)))
        return y

"""Attention from the frames of one modality to the frames of another."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError, ShapeError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn._dropout import Dropout


class CrossModalAttention(nn.Module):
    r"""Multi-head attention of a query sequence over a context sequence of another length.

    .. math:: A = W_o\, \mathrm{concat}_h\, \mathrm{softmax}(Q_h K_h^\top / \sqrt{d}) V_h + b_o

    with bias-free query, key and value maps, then dropout.

    Args:
        features: width of the query and of the result.
        context_features: width of the context; that of the query where None.
        num_heads: must divide ``features``.
        dropout: on the result.

    Shape:
        query ``[B, Tq, features]``, context ``[B, Tc, context_features]``, context_mask ``[B, Tc]``; result
        ``[B, Tq, features]``.

    Returns:
        Attended context. A sample without any real context frame gives exactly 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: ``num_heads`` does not divide ``features``, or dropout is outside 0..1.

    Numerics:
        Runs on ``scaled_dot_product_attention``: no Tq x Tc map is stored where the backend has a fused kernel.

    Example:
        >>> attention = CrossModalAttention(8, num_heads=2)
        >>> attention(torch.randn(1, 3, 8), torch.randn(1, 50, 8)).shape
        torch.Size([1, 3, 8])

    References:
        Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", 2019, arXiv:1906.00295.
    """

    def __init__(
        self, features: int, context_features: int | None = None, *, num_heads: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        where = "CrossModalAttention"
        check_count(where, "features", features)
        check_count(where, "num_heads", num_heads)
        if features % num_heads:
            raise SettingError(f"{where}: num_heads must divide features={features}, got {num_heads}.")
        check_number(where, "dropout", dropout, low=0, high=1)
        self.features, self.num_heads = features, num_heads
        self.context_features = features if context_features is None else context_features
        check_count(where, "context_features", self.context_features)
        self.query = nn.Linear(features, features, bias=False)
        self.key = nn.Linear(self.context_features, features, bias=False)
        self.value = nn.Linear(self.context_features, features, bias=False)
        self.output = nn.Linear(features, features)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """Attend from every query frame to the real context frames."""
        query_heads, key_heads, context, mask = self._prepare(query, context, context_mask)
        return self._attended(query_heads, key_heads, context, mask)

    def with_carried(
        self, query: Tensor, context: Tensor, carried: Tensor, context_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend, and bring a second sequence of the context's frames along the same attention weights.

        Args:
            query: ``[B, Tq, features]``.
            context: ``[B, Tc, context_features]``.
            carried: ``[B, Tc, features]``, another code of the context frames, used unprojected; its features are dealt
                to the heads in order, and each head moves its own.
            context_mask: ``[B, Tc]``.

        Returns:
            The attended context, and the carried code at the query's frames ``[B, Tq, features]``.
        """
        check_float("CrossModalAttention", "carried", carried, "B T D")
        check_width("CrossModalAttention", "carried", carried, self.features)
        if carried.shape[:2] != context.shape[:2]:
            raise ShapeError(
                f"CrossModalAttention: carried must have the frames of context {list(context.shape[:2])}, "
                f"got {list(carried.shape[:2])}."
            )
        query_heads, key_heads, context, mask = self._prepare(query, context, context_mask)
        carried = zero_where_invalid(carried, context_mask)
        if carried.shape[1] == 0:
            carried = pad(carried, (0, 0, 0, 1))
        moved = scaled_dot_product_attention(query_heads, key_heads, self._heads(carried), attn_mask=_spread(mask))
        return self._attended(query_heads, key_heads, context, mask), _drop_empty(_merge(moved), mask)

    def _prepare(
        self, query: Tensor, context: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        where = "CrossModalAttention"
        check_float(where, "query", query, "B T D")
        check_width(where, "query", query, self.features)
        check_float(where, "context", context, "B T D")
        check_width(where, "context", context, self.context_features)
        if query.shape[0] != context.shape[0]:
            raise ShapeError(
                f"{where}: query and context must have the same batch size, got {query.shape[0]} and "
                f"{context.shape[0]}."
            )
        if mask is not None:
            check_mask(where, "context_mask", mask, context.shape[:2])
            context = zero_where_invalid(context, mask)
        if context.shape[1] == 0:
            # One frame that no one may look at stands for an empty sequence.
            context = pad(context, (0, 0, 0, 1))
            mask = torch.zeros(context.shape[:2], dtype=torch.bool, device=context.device)
        return self._heads(self.query(query)), self._heads(self.key(context)), context, mask

    def _attended(self, query_heads: Tensor, key_heads: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        value_heads = self._heads(self.value(context))
        attended = scaled_dot_product_attention(query_heads, key_heads, value_heads, attn_mask=_spread(mask))
        return _drop_empty(self.dropout(self.output(_merge(attended))), mask)

    def _heads(self, x: Tensor) -> Tensor:
        return rearrange(x, "batch time (heads features) -> batch heads time features", heads=self.num_heads)


def _merge(heads: Tensor) -> Tensor:
    return rearrange(heads, "batch heads time features -> batch time (heads features)")


def _spread(mask: Tensor | None) -> Tensor | None:
    """Mask ``[B, 1, 1, Tc]``; rows without a real frame are opened, so that no backend divides 0 by 0."""
    return None if mask is None else (mask | ~mask.any(-1, keepdim=True))[:, None, None, :]


def _drop_empty(x: Tensor, mask: Tensor | None) -> Tensor:
    return zero_where_invalid(x, None if mask is None else mask.any(-1))

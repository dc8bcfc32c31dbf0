"""What the attention layers of MEA have in common: projections, residual connection, feed-forward network."""

import math
from typing import Literal, TypeAlias

from einops import rearrange
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn._dropout import Dropout

AttentionScale: TypeAlias = Literal["head", "model"]


class AttentionBlock(nn.Module):
    """Query, key and value maps, an optional output map, and a pre-norm feed-forward network.

    Args:
        features: width d.
        num_heads: must divide ``features``.
        scale: logits are divided by the square root of the head's width (``"head"``) or of ``features`` (``"model"``,
            as printed).
        output_projection: a linear map after the heads are joined; the paper prints none.
        bias: biases of these maps; the paper prints none.
        feedforward_features: four times ``features`` where None.
        dropout: on what attention and feed-forward network add.
    """

    def __init__(
        self,
        features: int,
        *,
        num_heads: int = 8,
        scale: AttentionScale = "head",
        output_projection: bool = False,
        bias: bool = False,
        feedforward_features: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        feedforward_features = 4 * features if feedforward_features is None else feedforward_features
        check_count(where, "features", features)
        check_count(where, "num_heads", num_heads)
        check_count(where, "feedforward_features", feedforward_features)
        if features % num_heads:
            raise SettingError(f"{where}: num_heads must divide features={features}, got {num_heads}.")
        check_choice(where, "scale", scale, ("head", "model"))
        check_flag(where, "output_projection", output_projection)
        check_flag(where, "bias", bias)
        check_number(where, "dropout", dropout, low=0, high=1)
        self.features, self.num_heads, self.scale = features, num_heads, scale
        self.divisor = math.sqrt(features // num_heads if scale == "head" else features)
        self.query = nn.Linear(features, features, bias=bias)
        # A constant added to every key shifts all logits of a query alike, which softmax does not see.
        self.key = nn.Linear(features, features, bias=False)
        self.value = nn.Linear(features, features, bias=bias)
        self.output = nn.Linear(features, features, bias=bias) if output_projection else nn.Identity()
        self.norm_feedforward = nn.LayerNorm(features)
        self.feedforward = nn.Sequential(
            nn.Linear(features, feedforward_features),
            nn.GELU(),
            nn.Linear(feedforward_features, features),
        )
        self.dropout = Dropout(dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return rearrange(x, "batch time (heads features) -> batch heads time features", heads=self.num_heads)

    def _joined(self, base: Tensor, heads: Tensor, here: Tensor | None = None) -> Tensor:
        """``base`` plus what the heads attended to, where there is anything; then the feed-forward network on top."""
        moved = self.output(rearrange(heads, "batch heads time features -> batch time (heads features)"))
        y = base + self.dropout(zero_where_invalid(moved, here))
        changed: Tensor = y + self.dropout(self.feedforward(self.norm_feedforward(y)))
        return changed

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"num_heads={self.num_heads}, scale={self.scale!r}"

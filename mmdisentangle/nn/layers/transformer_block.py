"""One post-norm Transformer encoder layer with masks, on scaled_dot_product_attention."""

from typing import Literal, TypeAlias

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mmdisentangle._core.checks import check_choice, check_count, check_float, check_mask, check_number, check_width
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._feed_forward import relu_feed_forward
from mmdisentangle.nn._dropout import Dropout

FeedForwardActivation: TypeAlias = Literal["relu", "gelu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


class TransformerBlock(nn.Module):
    r"""Self-attention and a feed-forward network, each with a residual connection and a norm after it.

    .. math:: y = \mathrm{LayerNorm}(x + \mathrm{SelfAttention}(x)), \qquad \mathrm{LayerNorm}(y + \mathrm{FFN}(y))

    The arithmetic of ``torch.nn.TransformerEncoderLayer(norm_first=False)``, but padded frames are 0, those of
    all-padded rows too (torch's layer can give NaN there when it is evaluated without gradients), and training and
    evaluation run the same code.

    Args:
        features: width.
        num_heads: must divide ``features``.
        feedforward_features: width of the feed-forward network; four times ``features`` where None.
        dropout: after attention, inside and after the feed-forward network.
        attention_dropout: on the attention weights. Above 0 it makes some backends store the T x T map.
        activation: ``"relu"`` or ``"gelu"``.

    Shape:
        x ``[B, T, features]``, mask ``[B, T]``; result ``[B, T, features]``, padded frames 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range.

    Example:
        >>> TransformerBlock(8, num_heads=2)(torch.randn(1, 5, 8)).shape
        torch.Size([1, 5, 8])

    References:
        Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        features: int,
        *,
        num_heads: int = 1,
        feedforward_features: int | None = None,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        activation: FeedForwardActivation = "relu",
    ) -> None:
        super().__init__()
        where = "TransformerBlock"
        feedforward_features = 4 * features if feedforward_features is None else feedforward_features
        check_count(where, "features", features)
        check_count(where, "num_heads", num_heads)
        check_count(where, "feedforward_features", feedforward_features)
        if features % num_heads:
            raise SettingError(f"{where}: num_heads must divide features={features}, got {num_heads}.")
        check_number(where, "dropout", dropout, low=0, high=1)
        check_number(where, "attention_dropout", attention_dropout, low=0, high=1)
        check_choice(where, "activation", activation, tuple(_ACTIVATIONS))
        self.features, self.num_heads, self.attention_dropout = features, num_heads, attention_dropout
        self.attention_input = nn.Linear(features, 3 * features)
        self.attention_output = nn.Linear(features, features)
        self.feedforward = FeedForward(
            nn.Linear(features, feedforward_features),
            _ACTIVATIONS[activation](),
            Dropout(dropout),
            nn.Linear(feedforward_features, features),
        )
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(features), nn.LayerNorm(features)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.attention_input.weight)
        nn.init.zeros_(self.attention_input.bias)
        nn.init.zeros_(self.attention_output.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform every frame."""
        check_float("TransformerBlock", "x", x, "B T D")
        check_width("TransformerBlock", "x", x, self.features)
        spread = None
        if mask is not None:
            check_mask("TransformerBlock", "mask", mask, x.shape[:2])
            x = zero_where_invalid(x, mask)
            # Rows without a real frame are opened, so that no backend divides 0 by 0; they are zeroed below.
            spread = (mask | ~mask.any(-1, keepdim=True))[:, None, None, :]
        query, key, value = rearrange(
            self.attention_input(x),
            "batch time (parts heads features) -> parts batch heads time features",
            parts=3,
            heads=self.num_heads,
        )
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=spread, dropout_p=self.attention_dropout if self.training else 0.0
        )
        attended = rearrange(attended, "batch heads time features -> batch time (heads features)")
        x = self.norm_attention(x + self.dropout(self.attention_output(attended)))
        x = self.norm_feedforward(x + self.dropout(self.feedforward(x)))
        return zero_where_invalid(x, mask)


class FeedForward(nn.Sequential):
    """Linear map, activation, dropout, linear map.

    As built it is computed in one go. Where a part was replaced, wrapped, pruned or hooked, all of them are called.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Transform the last axis."""
        if [type(part) for part in self] == [nn.Linear, nn.ReLU, Dropout, nn.Linear]:
            first, dropout, last = self[0], self[2], self[3]
            assert isinstance(first, nn.Linear)
            assert isinstance(dropout, Dropout)
            assert isinstance(last, nn.Linear)
            if first.bias is not None and last.bias is not None and not any(map(_is_hooked, self)):
                return relu_feed_forward(
                    input, first.weight, first.bias, last.weight, last.bias, p=dropout.p, training=dropout.training
                )
        for part in self:
            input = part(input)
        return input


def _is_hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)

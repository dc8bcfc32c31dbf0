"""Cross-modal attention that reinforces one modality by another."""

from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from mmdisentangle._core.checks import check_float, check_mask, check_width
from mmdisentangle._core.errors import ShapeError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn.layers._attention_block import AttentionBlock, AttentionScale


class ModalityReinforcementUnit(AttentionBlock):
    r"""Reinforce the frames of a target by what they find in a source of another length.

    .. math:: Y = \mathrm{LN}(t) + \mathrm{Attention}(\mathrm{LN}(t) W_Q, \mathrm{LN}(s) W_K, \mathrm{LN}(s) W_V),
              \qquad
              \mathrm{FFN}(\mathrm{LN}(Y)) + Y

    Args:
        features: width d of both.
        num_heads: must divide ``features``.
        scale: divisor of the logits: root of the head's width (``"head"``), or of d as printed (``"model"``).
        output_projection: a linear map after the heads are joined.
        bias: biases of query, value and output maps.
        feedforward_features: four times ``features`` where None.
        dropout: on what attention and feed-forward network add.

    Shape:
        source ``[B, Ts, d]``, target ``[B, Tt, d]``, source_mask ``[B, Ts]``, target_mask ``[B, Tt]``; result
        ``[B, Tt, d]``.

    Returns:
        The reinforced target; padded frames are 0. A sample without a source frame attends to nothing.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range.

    Numerics:
        Runs on ``scaled_dot_product_attention``: no map is stored where the backend has a fused kernel.

    Example:
        >>> unit = ModalityReinforcementUnit(8, num_heads=2)
        >>> unit(torch.randn(1, 50, 8), torch.randn(1, 3, 8)).shape
        torch.Size([1, 3, 8])

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
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
        super().__init__(
            features,
            num_heads=num_heads,
            scale=scale,
            output_projection=output_projection,
            bias=bias,
            feedforward_features=feedforward_features,
            dropout=dropout,
        )
        self.norm_target, self.norm_source = nn.LayerNorm(features), nn.LayerNorm(features)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the reinforced target."""
        where = "ModalityReinforcementUnit"
        for name, x, mask in (("source", source, source_mask), ("target", target, target_mask)):
            check_float(where, name, x, "B T D")
            check_width(where, name, x, self.features)
            if mask is not None:
                check_mask(where, f"{name}_mask", mask, x.shape[:2])
        if source.shape[0] != target.shape[0]:
            raise ShapeError(
                f"{where}: source and target must have the same batch size, got {source.shape[0]} and "
                f"{target.shape[0]}."
            )
        base = self.norm_target(zero_where_invalid(target, target_mask))
        context = self.norm_source(zero_where_invalid(source, source_mask))
        if context.shape[1] == 0:
            # One frame that no one may look at stands for an empty sequence.
            context = pad(context, (0, 0, 0, 1))
            source_mask = context.new_zeros(context.shape[:2]).bool()
        spread = here = None
        if source_mask is not None:
            here = source_mask.any(-1)
            # Rows without a real frame are opened, so that no backend divides 0 by 0; they are zeroed below.
            spread = (source_mask | ~here.unsqueeze(-1))[:, None, None, :]
        attended = scaled_dot_product_attention(
            self._heads(self.query(base)),
            self._heads(self.key(context)),
            self._heads(self.value(context)),
            attn_mask=spread,
            scale=1 / self.divisor,
        )
        return zero_where_invalid(self._joined(base, attended, here), target_mask)

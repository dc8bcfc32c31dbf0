"""Self-attention that predicts its map from the layer before."""

import math
from typing import NamedTuple

from torch import Tensor, nn

from mmdisentangle._core.checks import (
    check_choice,
    check_count,
    check_flag,
    check_float,
    check_mask,
    check_number,
    check_width,
)
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import predictive_attention
from mmdisentangle.functional.predictive_attention import PREDICTION_MODES, PredictionMode
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn.layers._attention_block import AttentionBlock, AttentionScale


class PredictiveSelfAttentionOutput(NamedTuple):
    """What `PredictiveSelfAttention` returns; 0 at padding.

    Attributes:
        sequence: the transformed sequence, ``[B, T, d]``.
        logits: for the next layer, ``[B, H, T, T]``; with a window ``[B, H, T, 2 window + 1]``.

    Example:
        >>> layer = PredictiveSelfAttention(8, num_heads=2, predict=False, window=3)
        >>> output = layer(torch.rand(1, 100, 8))
        >>> output.sequence.shape, output.logits.shape
        (torch.Size([1, 100, 8]), torch.Size([1, 2, 100, 7]))
    """

    sequence: Tensor
    logits: Tensor


class PredictiveSelfAttention(AttentionBlock):
    r"""Self-attention whose map is partly predicted from the logits of the layer before.

    .. math:: Q, K, V = \mathrm{LN}(Z) W_{Q, K, V}, \qquad Z' = \mathrm{LN}(Z) + A V, \qquad
              \mathrm{FFN}(\mathrm{LN}(Z')) + Z'

    with A of `functional.predictive_attention`. Stack it for the codes that belong to one modality, and hand the logits
    on yourself: the first layer has ``predict=False``, every later one takes ``previous``.

    Args:
        features: width d.
        num_heads: must divide ``features``.
        mu: share of the prediction, 0..1.
        mode: ``"convex"``, ``"logit"`` or ``"paper"``, see `functional.predictive_attention`.
        predict: whether the layer has the convolution that reads the previous logits.
        scale: divisor of the logits: root of the head's width (``"head"``), or of d as printed (``"model"``).
        output_projection: a linear map after the heads are joined.
        bias: biases of query, value and output maps.
        feedforward_features: four times ``features`` where None.
        dropout: on what attention and feed-forward network add.
        window: frame t attends to the frames at places t - window .. t + window, at a cost linear in T; to all where
            None.
        checkpoint_activations: keep x, ``previous`` and the result only, and compute the layer again in the backward
            pass; one map per head remains, the logits.

    Shape:
        x ``[B, T, d]``, previous ``[B, H, T, T]`` (``[B, H, T, 2 window + 1]``), mask ``[B, T]``.

    Returns:
        `PredictiveSelfAttentionOutput`.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range; ``previous`` is missing with ``predict=True`` or given without it.

    Numerics:
        `functional.predictive_attention` says what is stored. x is read through LayerNorm only, so a positive factor on
        a frame changes nothing (up to the norm's epsilon).

    Deviations:
        The paper divides the logits by the root of d (``scale="model"``). It prints neither output map nor biases, and
        leaves width and activation of the feed-forward network open: GELU, 4 d.

    Example:
        >>> first = PredictiveSelfAttention(8, num_heads=2, predict=False)
        >>> second = PredictiveSelfAttention(8, num_heads=2)
        >>> output = first(torch.randn(1, 5, 8))
        >>> second(output.sequence, output.logits).sequence.shape
        torch.Size([1, 5, 8])

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """

    def __init__(
        self,
        features: int,
        *,
        num_heads: int = 8,
        mu: float = 0.25,
        mode: PredictionMode = "convex",
        predict: bool = True,
        scale: AttentionScale = "head",
        output_projection: bool = False,
        bias: bool = False,
        feedforward_features: int | None = None,
        dropout: float = 0.1,
        window: int | None = None,
        checkpoint_activations: bool = False,
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
        where = "PredictiveSelfAttention"
        check_number(where, "mu", mu, low=0, high=1)
        check_choice(where, "mode", mode, PREDICTION_MODES)
        check_flag(where, "predict", predict)
        if window is not None:
            check_count(where, "window", window, low=0)
        check_flag(where, "checkpoint_activations", checkpoint_activations)
        self.mu, self.window, self.checkpoint_activations = mu, window, checkpoint_activations
        self.mode: PredictionMode = mode
        self.norm = nn.LayerNorm(features)
        self.prediction = nn.Conv2d(num_heads, num_heads, 3, padding=1) if predict else None

    def forward(
        self, x: Tensor, previous: Tensor | None = None, mask: Tensor | None = None
    ) -> PredictiveSelfAttentionOutput:
        """Transform every real frame."""
        where = "PredictiveSelfAttention"
        check_float(where, "x", x, "B T D")
        check_width(where, "x", x, self.features)
        if mask is not None:
            check_mask(where, "mask", mask, x.shape[:2])
        if self.prediction is None and previous is not None:
            raise SettingError(f"{where}: a layer with predict=False has no use for previous; leave it out.")
        if self.prediction is not None and previous is None:
            raise SettingError(
                f"{where}: previous, the logits of the layer before, is missing; the first layer of a stack needs "
                "predict=False."
            )
        return PredictiveSelfAttentionOutput(
            *checkpointed(self._transformed, x, previous, mask, active=self.checkpoint_activations)
        )

    def _transformed(self, x: Tensor, previous: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        base = self.norm(zero_where_invalid(x, mask))
        query = self._heads(self.query(base))
        # The function divides by the root of the head's width.
        query = query * (math.sqrt(self.features // self.num_heads) / self.divisor)
        attention = predictive_attention(
            query,
            self._heads(self.key(base)),
            self._heads(self.value(base)),
            previous,
            None if self.prediction is None else self.prediction.weight,
            None if self.prediction is None else self.prediction.bias,
            mu=self.mu,
            mode=self.mode,
            window=self.window,
            mask=mask,
        )
        return zero_where_invalid(self._joined(base, attention.output), mask), attention.logits

    def extra_repr(self) -> str:
        """Settings in the repr."""
        window = "" if self.window is None else f", window={self.window}"
        return f"{super().extra_repr()}, mu={self.mu:g}, mode={self.mode!r}{window}"

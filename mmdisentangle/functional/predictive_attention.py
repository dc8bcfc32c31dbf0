"""Attention whose map is predicted, in part, from the map of the layer before."""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import gelu

from mmdisentangle._core.checks import (
    check_choice,
    check_count,
    check_float,
    check_mask,
    check_number,
    check_same_shape,
)
from mmdisentangle._core.errors import SettingError, ShapeError
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.functional._attention_map import columns, kernel, open_keys, products, real_pairs, sums
from mmdisentangle.functional._convolution import convolution

PredictionMode: TypeAlias = Literal["paper", "convex", "logit"]
PREDICTION_MODES = ("paper", "convex", "logit")


class PredictiveAttention(NamedTuple):
    """What `predictive_attention` returns; 0 at padded frames and outside the sequence.

    Attributes:
        output: attended values, ``[B, H, T, d_head]``.
        logits: before any softmax, the ``previous`` of the next layer: ``[B, H, T, T]`` or, with a ``window``,
            ``[B, H, T, 2 window + 1]``, where entry c of row t belongs to key t + c - window.

    Example:
        >>> q = torch.tensor([[[[1.0], [2.0], [3.0]]]])
        >>> found = predictive_attention(q, q, q, window=1)
        >>> found.logits
        tensor([[[[0., 1., 2.],
                  [2., 4., 6.],
                  [6., 9., 0.]]]])
        >>> found.output.shape
        torch.Size([1, 1, 3, 1])
    """

    output: Tensor
    logits: Tensor


def predictive_attention(
    q: Float[Tensor, "B H T d_head"],
    k: Float[Tensor, "B H T d_head"],
    v: Float[Tensor, "B H T d_head"],
    previous: Float[Tensor, "B H T columns"] | None = None,
    conv_weight: Float[Tensor, "H H 3 3"] | None = None,
    conv_bias: Float[Tensor, " H"] | None = None,
    *,
    mu: float = 0.25,
    mode: PredictionMode = "convex",
    window: int | None = None,
    mask: Bool[Tensor, "B T"] | None = None,
) -> PredictiveAttention:
    r"""Self-attention whose map is mixed with one predicted from the previous layer's map by a convolution.

    .. math:: S = q k^\top / \sqrt{d_\mathrm{head}}, \qquad
              P = \mathrm{GELU}(\mathrm{Conv}_{3 \times 3}(S_\mathrm{previous}))

    ``"convex"``: :math:`A = \mu\,\mathrm{softmax}(P) + (1 - \mu)\,\mathrm{softmax}(S)`. ``"logit"``:
    :math:`A = \mathrm{softmax}(\mu P + (1 - \mu) S)`. ``"paper"``, as printed:
    :math:`A = \mathrm{softmax}(\mu P + (1 - \mu)\,\mathrm{softmax}(S))`. Without ``previous``,
    :math:`A = \mathrm{softmax}(S)`. The output is :math:`A v`.

    Use it where neighbouring layers look at the same places and the pattern moves along the diagonal. The maps are T x
    T: for long sequences take a ``window``, where both softmaxes run over the keys t - window .. t + window of query t,
    and entries outside this band count as the border of the map, 0. Memory and time are then linear in T. A window of T
    - 1 or more cuts nothing.

    Args:
        q: queries.
        k: keys.
        v: values.
        previous: logits of the layer before, which had the same window; None in the first layer.
        conv_weight: 3 x 3 convolution from the maps of all heads to those of all heads; needed with ``previous``.
        conv_bias: its bias.
        mu: share of the prediction, 0..1.
        mode: how prediction and own map are mixed.
        window: how many places to each side a query reaches, padding in between counted; None: to every frame.
        mask: True = real.

    Shape:
        q, k, v ``[B, H, T, d_head]``, previous ``[B, H, T, T]`` or, with a window, ``[B, H, T, 2 window + 1]``,
        conv_weight ``[H, H, 3, 3]``, mask ``[B, T]``.

    Returns:
        `PredictiveAttention`. Padded frames, and samples without a real frame, are 0.

    Raises:
        ShapeError, DtypeError: an argument does not fit.
        SettingError: ``mu`` outside 0..1, a negative window, an unknown mode, or ``previous`` without ``conv_weight``.

    Numerics:
        Padded rows and columns of the maps are zeroed before the convolution, as its own border is, so that padding
        cannot be seen through it. GELU and every softmax run in float32 for half-precision input.

        In float32 a layer with ``previous`` stores four maps for its backward pass (``"logit"``: three) beside the
        logits that it returns, 20 (16) bytes per head and pair of frames, and holds 28 (24) at the peak of forward and
        backward; a layer without ``previous`` stores one map. With ``checkpoint_activations``,
        `nn.PredictiveSelfAttention` stores none: the logits remain, 4 bytes.

    Deviations:
        The paper's form takes the softmax of a softmax, which is nearly uniform on long sequences: with mu = 0.25 and a
        prediction of zeros, the largest weight a row of 500 frames can have is 0.0042, where uniform is 0.0020. At
        mu = 0 it still differs from plain attention; the other two do not. ``"convex"`` is the default.

    Example:
        >>> q = torch.tensor([[[[2.0], [0.0]]]])
        >>> first = predictive_attention(q, q, q)
        >>> first.logits
        tensor([[[[4., 0.],
                  [0., 0.]]]])
        >>> predictive_attention(q, q, q, first.logits, torch.ones(1, 1, 3, 3), mu=1.0).output.flatten()
        tensor([1., 1.])

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955. Wang et al., "Evolving Attention with Residual Convolutions", 2021,
        arXiv:2102.12895 (``"logit"``).
    """
    where = "predictive_attention"
    check_number(where, "mu", mu, low=0, high=1)
    check_choice(where, "mode", mode, PREDICTION_MODES)
    if window is not None:
        check_count(where, "window", window, low=0)
    _check(q, k, v, previous, conv_weight, conv_bias, window, mask)
    q, k, v = (x if mask is None else zero_where_invalid(x, mask[:, None].expand(x.shape[:3])) for x in (q, k, v))
    real = mask
    if window is not None and mask is None:
        # A band has entries outside the sequence, which count as padding.
        real = torch.ones((1, q.shape[2]), dtype=torch.bool, device=q.device)
    logits = products(q / math.sqrt(max(q.shape[-1], 1)), k, window)
    closed = None if real is None else ~open_keys(real, window)
    if previous is None or q.shape[2] == 0:
        output = _attend(logits, closed, v, window)
    else:
        assert conv_weight is not None
        pairs = None if real is None else real_pairs(real, window)
        predicted = _predicted(previous, kernel(conv_weight, window), conv_bias, pairs)
        if mode == "convex":
            # Mixing what was attended to is mixing the maps, without a third one.
            own = _attend(logits, closed, v, window)
            output = torch.lerp(own, _attend(predicted, closed, v, window, overwrite=True), mu)
        else:
            own = at_least_float32(logits) if mode == "logit" else _softmax(logits, closed)
            output = _attend(torch.lerp(own, predicted, mu), closed, v, window, overwrite=True)
    if mask is not None:
        output = zero_where_invalid(output, mask[:, None].expand(output.shape[:3]))
    return PredictiveAttention(output, logits)


def _predicted(previous: Tensor, weight: Tensor, bias: Tensor | None, pairs: Tensor | None) -> Tensor:
    """Map predicted from the previous logits, where all but ``pairs`` of real frames count as the border of the map."""
    # With the heads last in memory the backward pass of the convolution takes a quarter of the time on a CPU.
    previous = previous.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if pairs is not None:
        previous = zero_where_invalid(previous, pairs.expand(previous.shape))
    predicted = convolution(previous, weight, bias, padding=(1, weight.shape[-1] // 2))
    return gelu(at_least_float32(predicted.contiguous()))


def _attend(logits: Tensor, closed: Tensor | None, v: Tensor, window: int | None, *, overwrite: bool = False) -> Tensor:
    return sums(_softmax(logits, closed, overwrite=overwrite).to(v.dtype), v, window)


def _softmax(logits: Tensor, closed: Tensor | None, *, overwrite: bool = False) -> Tensor:
    """Softmax over the keys that are not closed, in float32 at least; ``overwrite`` logits that nobody else reads."""
    logits = at_least_float32(logits)
    if closed is not None:
        logits = logits.masked_fill_(closed, -torch.inf) if overwrite else logits.masked_fill(closed, -torch.inf)
    return logits.softmax(-1)


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    previous: Tensor | None,
    conv_weight: Tensor | None,
    conv_bias: Tensor | None,
    window: int | None,
    mask: Tensor | None,
) -> None:
    where = "predictive_attention"
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_float(where, name, x, "B H T d_head")
    check_same_shape(where, "k", k, "q", q)
    if v.shape[:3] != q.shape[:3]:
        raise ShapeError(f"{where}: v must have the leading axes of q {list(q.shape[:3])}, got {list(v.shape)}.")
    if mask is not None:
        check_mask(where, "mask", mask, (q.shape[0], q.shape[2]))
    if previous is None:
        return
    batch, heads, frames, _ = q.shape
    check_float(where, "previous", previous, "B H T columns")
    expected = [batch, heads, frames, columns(frames, window)]
    if list(previous.shape) != expected:
        same = "" if window is None else f" for window={window}; take it from a layer with the same window"
        raise ShapeError(f"{where}: previous must have shape {expected}, got {list(previous.shape)}{same}.")
    if conv_weight is None:
        raise SettingError(f"{where}: previous needs conv_weight, the convolution that reads it; got None.")
    check_float(where, "conv_weight", conv_weight, "H H 3 3")
    if conv_weight.shape != (heads, heads, 3, 3):
        raise ShapeError(f"{where}: conv_weight must have shape {[heads, heads, 3, 3]}, got {list(conv_weight.shape)}.")
    if conv_bias is not None:
        check_float(where, "conv_bias", conv_bias, "H")
    if conv_bias is not None and conv_bias.shape != (heads,):
        raise ShapeError(f"{where}: conv_bias must have shape {[heads]}, got {list(conv_bias.shape)}.")

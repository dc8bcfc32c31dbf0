"""A classifier that tells modalities apart, and the reversal that makes encoders hide them."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import (
    check_choice,
    check_count,
    check_number,
)
from mmdisentangle._core.distributed import sum_over_processes
from mmdisentangle._core.modalities import modality_names
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.functional import cosine_logits, cosine_margin_loss
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn.layers._pooled_codes import pooled_codes
from mmdisentangle.nn.layers.gradient_reversal import GradientReversal

DiscriminatorLoss: TypeAlias = Literal["cosine_margin", "cross_entropy"]
DISCRIMINATOR_LOSSES = ("cosine_margin", "cross_entropy")


class DiscriminatorOutput(NamedTuple):
    """What `ModalityDiscriminator` returns, all 0-dim but the logits.

    Attributes:
        loss: in nats.
        accuracy: share of the codes whose modality is told.
        chance: accuracy of always naming the most frequent modality: 1/M where none is missing.
        logits: ``[M, B, M]``: modality of the code, sample, class.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> discriminator = ModalityDiscriminator(
        ...     ("text", "audio"), in_features=4, loss="cross_entropy"
        ... ).eval()
        >>> output = discriminator({"text": torch.rand(8, 4), "audio": torch.rand(8, 4)})
        >>> round(output.loss.item(), 1), output.accuracy.item(), output.chance.item()
        (0.7, 0.5, 0.5)
    """

    loss: Tensor
    accuracy: Tensor
    chance: Tensor
    logits: Tensor


class ModalityDiscriminator(nn.Module):
    r"""Tell from which modality a code comes.

    .. math:: d = \mathrm{Dropout}(\mathrm{ReLU}(W_1\, \mathrm{GRL}(\bar c) + b_1)), \qquad
              L = \mathrm{loss}(d, m) + \rho \|W\|_F^2

    with :math:`\bar c` the mean of the code over real frames. With ``reverse=True`` the encoder is trained to hide the
    modality (shared codes); with ``reverse=False`` to show it (private codes).

    Args:
        modalities: names; their order numbers the classes.
        in_features: width of the codes.
        hidden_features: width of the hidden layer; that of the codes where None.
        loss: ``"cosine_margin"`` (`functional.cosine_margin_loss`) or ``"cross_entropy"`` on linear logits.
        scale: of the cosine margin loss.
        margin: of the cosine margin loss.
        dropout: after the hidden layer.
        strength: initial reversal strength, the buffer ``reversal.strength``.
        prototype_penalty: :math:`\rho`, weight of the squared norm of the class weights.
        gather: take the means over the codes of all processes.

    Shape:
        every code ``[B, T_m, D]`` with mask ``[B, T_m]``, or ``[B, D]`` with mask ``[B]``.

    Returns:
        `DiscriminatorOutput`. The loss is the mean over the codes that exist; a sample without a modality adds nothing.

    Raises:
        ModalityError: a modality is missing from codes, or unknown.
        ShapeError: a width, batch size or mask does not fit.
        SettingError: a setting is out of range.

    Numerics:
        All modalities go through in one stacked call. Half-precision codes are pooled in float32.

    Deviations:
        The released RTIL code reverses the gradient of private codes too, which trains them to hide their modality;
        pass ``reverse=True`` for both to have that. Its margin loss is called angular and is the additive cosine
        margin.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> discriminator = ModalityDiscriminator(("text", "audio"), in_features=4).eval()
        >>> output = discriminator({"text": torch.randn(8, 5, 4), "audio": torch.randn(8, 7, 4)})
        >>> output.chance
        tensor(0.5000)

    References:
        Ganin et al., "Domain-Adversarial Training of Neural Networks", 2016, arXiv:1505.07818.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        in_features: int,
        hidden_features: int | None = None,
        *,
        loss: DiscriminatorLoss = "cosine_margin",
        scale: float = 30.0,
        margin: float = 0.5,
        dropout: float = 0.6,
        strength: float = 1.0,
        prototype_penalty: float = 0.01,
        gather: bool = False,
    ) -> None:
        super().__init__()
        where = "ModalityDiscriminator"
        self.modalities = modality_names(where, modalities, least=2)
        check_count(where, "in_features", in_features)
        hidden_features = in_features if hidden_features is None else hidden_features
        check_count(where, "hidden_features", hidden_features)
        check_choice(where, "loss", loss, DISCRIMINATOR_LOSSES)
        check_number(where, "scale", scale, low=0, open_low=True)
        check_number(where, "margin", margin)
        check_number(where, "dropout", dropout, low=0, high=1)
        check_number(where, "prototype_penalty", prototype_penalty, low=0)
        self.in_features = in_features
        self.loss, self.scale, self.margin, self.prototype_penalty = loss, scale, margin, prototype_penalty
        self.gather = gather
        self.reversal = GradientReversal(strength)
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_features), nn.ReLU(), Dropout(dropout))
        self.classifier = nn.Linear(hidden_features, len(self.modalities), bias=loss == "cross_entropy")

    def forward(
        self, codes: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, reverse: bool = True
    ) -> DiscriminatorOutput:
        """Classify every code."""
        pooled, valid = pooled_codes("ModalityDiscriminator", "codes", codes, masks, self.modalities, self.in_features)
        stacked = torch.cat(pooled)
        target = torch.arange(len(pooled), device=stacked.device).repeat_interleave(pooled[0].shape[0])
        features = self.hidden(self.reversal(stacked) if reverse else stacked)
        mask = torch.cat(valid)
        if self.loss == "cosine_margin":
            logits = self.scale * cosine_logits(features, self.classifier.weight)
            loss = cosine_margin_loss(
                features,
                self.classifier.weight,
                target,
                scale=self.scale,
                margin=self.margin,
                mask=mask,
                reduction="sum",
            )
        else:
            logits = at_least_float32(self.classifier(features))
            terms = nn.functional.cross_entropy(logits, target, reduction="none")
            loss = zero_where_invalid(terms, mask).sum()
        hits = ((logits.detach().argmax(-1) == target) & mask).sum()
        sums = torch.stack([loss, hits, *(row.sum() for row in valid)])
        loss, hits, *counts = (sum_over_processes(sums) if self.gather else sums).unbind()
        total = torch.stack(counts).detach().sum().clamp(min=1)
        return DiscriminatorOutput(
            loss / total + self.prototype_penalty * self.classifier.weight.square().sum(),
            hits.detach() / total,
            torch.stack(counts).detach().max() / total,
            logits.unflatten(0, (len(pooled), pooled[0].shape[0])),
        )

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"modalities={self.modalities}, loss={self.loss!r}, gather={self.gather}"

"""Two views of one classifier: agnostic codes must hide their modality, exclusive codes must show it."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.distributed import sum_over_processes
from mmdisentangle._core.errors import ShapeError
from mmdisentangle._core.modalities import modality_names
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn.layers._pooled_codes import pooled_codes
from mmdisentangle.nn.layers.gradient_reversal import GradientReversal

WeightOn: TypeAlias = Literal["loss", "input"]


class DoubleDiscriminatorOutput(NamedTuple):
    """What `DoubleDiscriminator` returns: losses in nats, accuracies and chance as probabilities.

    All are 0-dim but ``weights``.

    Attributes:
        agnostic: loss of the agnostic codes.
        exclusive: loss of the exclusive codes.
        importance: loss of the importance head.
        weights: importance weights ``[B, M]``, 0 for a missing modality.
        agnostic_accuracy: share of the agnostic codes whose modality is told.
        exclusive_accuracy: the same for the exclusive codes.
        chance: accuracy of always naming the most frequent modality: 1/M where none is missing.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> codes = {"text": torch.rand(8, 4), "audio": torch.rand(8, 4)}
        >>> output = DoubleDiscriminator(("text", "audio"), 4).eval()(codes, codes)
        >>> loss = output.agnostic + output.exclusive + output.importance
        >>> output.exclusive_accuracy.item(), output.chance.item()
        (0.5, 0.5)
    """

    agnostic: Tensor
    exclusive: Tensor
    importance: Tensor
    weights: Tensor
    agnostic_accuracy: Tensor
    exclusive_accuracy: Tensor
    chance: Tensor


class DoubleDiscriminator(nn.Module):
    r"""Tell modalities apart in exclusive codes, and hide them in agnostic ones, above all where they are in doubt.

    .. math:: p = \mathrm{softmax}(W_i h^a_m + b_i), \qquad w_m = 1 - p[m]

    .. math:: L_\mathrm{agnostic} = \overline{\sum_m w_m\, \mathrm{CE}(D(\mathrm{GRL}(h^a_m)), m)}, \qquad
              L_\mathrm{exclusive} = \overline{\sum_m \mathrm{CE}(D(h^e_m), m)}

    with one discriminator D for both, and the mean over samples. A code that hides its modality from the importance
    head gets a high weight, so the adversary spends itself where it has a chance.

    Args:
        modalities: names; their order numbers the classes.
        in_features: width of the codes.
        hidden_features: of D; that of the codes where None.
        strength: initial reversal strength, the buffer ``reversal.strength``.
        importance_weights: False: all weights are 1, and there is no importance head.
        weight_on: ``"loss"`` as in the equation, or ``"input"``: the weight multiplies the code before D, as the
            paper's figure draws it.
        omega_grad: the literal reading: no loss of its own for the importance head, which learns through the weights,
            with the reversal before both heads.
        dropout: inside D.
        gather: take the means over the samples of all processes.

    Shape:
        every code ``[B, D]`` with mask ``[B]``, or ``[B, T_m, D]`` with mask ``[B, T_m]`` (averaged over real frames).

    Returns:
        `DoubleDiscriminatorOutput`; a missing modality adds nothing, samples without any are left out of the mean.

    Raises:
        ModalityError: a modality is missing or unknown.
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range.

    Deviations:
        The paper gives the importance head no loss. Left attached with the reversal before D alone, the weights would
        train the codes to be identified, and detached the head would never learn: here it has a cross-entropy of its
        own on detached codes, and the weights are constants. ``omega_grad=True`` is the literal reading.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> discriminator = DoubleDiscriminator(("text", "audio"), 4).eval()
        >>> codes = {"text": torch.randn(8, 4), "audio": torch.randn(8, 4)}
        >>> output = discriminator(codes, codes)
        >>> output.chance, output.weights.shape
        (tensor(0.5000), torch.Size([8, 2]))

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955. Zhang et al., "Importance Weighted Adversarial Nets for Partial Domain
        Adaptation", 2018, arXiv:1803.09210.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        in_features: int,
        hidden_features: int | None = None,
        *,
        strength: float = 1.0,
        importance_weights: bool = True,
        weight_on: WeightOn = "loss",
        omega_grad: bool = False,
        dropout: float = 0.1,
        gather: bool = False,
    ) -> None:
        super().__init__()
        where = "DoubleDiscriminator"
        self.modalities = modality_names(where, modalities, least=2)
        check_count(where, "in_features", in_features)
        hidden_features = in_features if hidden_features is None else hidden_features
        check_count(where, "hidden_features", hidden_features)
        check_flag(where, "importance_weights", importance_weights)
        check_choice(where, "weight_on", weight_on, ("loss", "input"))
        check_flag(where, "omega_grad", omega_grad)
        check_number(where, "dropout", dropout, low=0, high=1)
        self.in_features = in_features
        self.weight_on: WeightOn = weight_on
        self.omega_grad, self.gather = omega_grad, gather
        classes = len(self.modalities)
        self.reversal = GradientReversal(strength)
        self.importance = nn.Linear(in_features, classes) if importance_weights else None
        self.discriminator = nn.Sequential(
            nn.Linear(in_features, hidden_features), nn.GELU(), Dropout(dropout), nn.Linear(hidden_features, classes)
        )

    def forward(
        self,
        agnostic: Mapping[str, Tensor],
        exclusive: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
    ) -> DoubleDiscriminatorOutput:
        """Classify the codes of both kinds."""
        where = "DoubleDiscriminator"
        hiding, here = pooled_codes(where, "agnostic", agnostic, masks, self.modalities, self.in_features)
        showing, _ = pooled_codes(where, "exclusive", exclusive, masks, self.modalities, self.in_features)
        if hiding[0].shape[0] != showing[0].shape[0]:
            raise ShapeError(
                f"{where}: agnostic and exclusive must have the same batch size, got {hiding[0].shape[0]} and "
                f"{showing[0].shape[0]}."
            )
        exists = torch.stack(here, 1)
        target = torch.arange(len(self.modalities), device=exists.device).expand(exists.shape)
        codes = torch.stack(hiding, 1)
        reversed_codes = self.reversal(codes)
        weights, importance = self._importance(codes, reversed_codes, target, exists)
        if self.weight_on == "input":
            reversed_codes = reversed_codes * weights.unsqueeze(-1).to(codes.dtype)
        on_agnostic = at_least_float32(self.discriminator(reversed_codes))
        on_exclusive = at_least_float32(self.discriminator(torch.stack(showing, 1)))
        terms = _cross_entropy(on_agnostic, target)
        losses = (
            terms * weights if self.weight_on == "loss" else terms,
            _cross_entropy(on_exclusive, target),
            importance,
        )
        sums = [zero_where_invalid(loss, exists).sum() for loss in losses]
        hits = [((logits.detach().argmax(-1) == target) & exists).sum() for logits in (on_agnostic, on_exclusive)]
        stacked = torch.stack([*sums, *hits, exists.any(1).sum(), *exists.sum(0)])
        if self.gather:
            stacked = sum_over_processes(stacked)
        numbers = stacked[3:].detach()
        samples, counts = numbers[2].clamp(min=1), numbers[3:]
        total = counts.sum().clamp(min=1)
        agnostic_loss, exclusive_loss, importance_loss = (stacked[:3] / samples).unbind()
        return DoubleDiscriminatorOutput(
            agnostic_loss,
            exclusive_loss,
            importance_loss,
            zero_where_invalid(weights, exists),
            numbers[0] / total,
            numbers[1] / total,
            counts.max() / total,
        )

    def _importance(
        self, codes: Tensor, reversed_codes: Tensor, target: Tensor, exists: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weights and the importance head's own loss, both ``[B, M]``."""
        if self.importance is None:
            ones = torch.ones(exists.shape, dtype=torch.promote_types(codes.dtype, torch.float32), device=codes.device)
            return ones, torch.zeros_like(ones)
        logits = at_least_float32(self.importance(reversed_codes if self.omega_grad else codes.detach()))
        own = torch.diagonal(logits.softmax(-1), dim1=1, dim2=2)
        if self.omega_grad:
            return 1 - own, torch.zeros_like(own)
        return 1 - own.detach(), _cross_entropy(logits, target)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        settings = f"weight_on={self.weight_on!r}, omega_grad={self.omega_grad}, gather={self.gather}"
        return f"modalities={self.modalities}, {settings}"


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    terms: Tensor = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    return terms.reshape(target.shape)

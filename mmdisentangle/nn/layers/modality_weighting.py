"""Weighted attention layer: how much each modality counts in a sample."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count
from mmdisentangle._core.errors import ModalityError, SettingError, ShapeError
from mmdisentangle._core.modalities import check_known, check_sequences, in_order, modality_names, resolve_masks
from mmdisentangle._core.numerics import at_least_float32, zero_where_invalid
from mmdisentangle.functional import masked_mean
from mmdisentangle.nn._modality_modules import ModalityModules

WeightingForm: TypeAlias = Literal["pooled", "flatten"]


class ModalityWeightingOutput(NamedTuple):
    """What `ModalityWeighting` returns.

    Attributes:
        sequences: weighted sequences, ``[B, T_m, d]`` per modality.
        weights: ``[B, M]``, 0 for a missing modality, else adding up to 1.

    Example:
        >>> weighting = ModalityWeighting(("text", "audio"), 8)
        >>> sequences = {"text": torch.rand(1, 3, 8), "audio": torch.rand(1, 9, 8)}
        >>> missing = torch.zeros(1, 9, dtype=torch.bool)
        >>> weighting(sequences, {"audio": missing}).weights.tolist()
        [[1.0, 0.0]]
    """

    sequences: dict[str, Tensor]
    weights: Tensor


class ModalityWeighting(nn.Module):
    r"""Multiply the sequence of every modality by its share of a softmax over the modalities of the sample.

    .. math:: \gamma_m = P_m^\top \tanh(W_m z_m + b_m), \qquad \psi = \mathrm{softmax}_m(\gamma), \qquad
              Z_m \leftarrow \psi_m Z_m

    with W, b and P of each modality's own.

    Args:
        modalities: names.
        features: width d.
        form: ``"pooled"``: z is the mean over real frames, W is d x d. ``"flatten"``, as printed: z is the whole
            sequence, W is (T d) x (T d), for short sequences of fixed lengths.
        num_frames: length of every modality, for ``"flatten"``.

    Shape:
        sequences ``[B, T_m, d]`` and masks ``[B, T_m]`` per modality.

    Returns:
        `ModalityWeightingOutput`; an absent modality leaves the softmax.

    Raises:
        ModalityError: a modality is missing or unknown.
        ShapeError, DtypeError: an argument does not fit; ``"flatten"``: another length than ``num_frames``.
        SettingError: an unknown form, ``num_frames`` missing or without use.

    Deviations:
        The printed form has 400 million parameters per layer at T = 500 and d = 40; ``"pooled"`` is the default.

    Example:
        >>> weighting = ModalityWeighting(("text", "audio"), 8)
        >>> output = weighting({"text": torch.randn(2, 3, 8), "audio": torch.randn(2, 9, 8)})
        >>> output.weights.sum(1)
        tensor([1.0000, 1.0000], grad_fn=...)

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        features: int,
        *,
        form: WeightingForm = "pooled",
        num_frames: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        where = "ModalityWeighting"
        self.modalities = modality_names(where, modalities)
        check_count(where, "features", features)
        check_choice(where, "form", form, ("pooled", "flatten"))
        if (form == "flatten") != (num_frames is not None):
            raise SettingError(
                f"{where}: num_frames, the length of every modality, goes with form='flatten' and with it alone; got "
                f"form={form!r}, num_frames={num_frames!r}."
            )
        if num_frames is not None and not isinstance(num_frames, Mapping):
            raise SettingError(f"{where}: num_frames must be a mapping from modality to length, got {num_frames!r}.")
        self.features = features
        self.form: WeightingForm = form
        self.num_frames = None if num_frames is None else dict(num_frames)
        for name in self.num_frames or ():
            check_known(where, "num_frames", name, self.modalities)
            check_count(where, f"num_frames[{name!r}]", (self.num_frames or {})[name])
        missing = [name for name in self.modalities if self.num_frames is not None and name not in self.num_frames]
        if missing:
            raise ModalityError(f"{where}: num_frames lacks {', '.join(map(repr, missing))}.")
        widths = {
            name: features if self.num_frames is None else features * self.num_frames[name] for name in self.modalities
        }
        self.maps = ModalityModules({name: nn.Linear(width, width) for name, width in widths.items()})
        self.scores = ModalityModules({name: nn.Linear(width, 1, bias=False) for name, width in widths.items()})

    def forward(
        self, sequences: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None
    ) -> ModalityWeightingOutput:
        """Weigh every modality."""
        where = "ModalityWeighting"
        sequences = in_order(where, "sequences", sequences, self.modalities)
        check_sequences(where, "sequences", sequences, self.features)
        masks = resolve_masks(where, sequences, masks)
        scores, here = [], []
        for name, x in sequences.items():
            mask = masks.get(name)
            summary = masked_mean(x, mask, 1) if self.num_frames is None else self._flat(name, x, mask)
            scores.append(self.scores[name](torch.tanh(self.maps[name](summary))))
            here.append(torch.ones(x.shape[:1], dtype=torch.bool, device=x.device) if mask is None else mask.any(1))
        exists = torch.stack(here, -1)
        # Where nothing exists all are let in; what they are weighed with is zeroed.
        opened = exists | ~exists.any(-1, keepdim=True)
        logits = at_least_float32(torch.cat(scores, -1)).masked_fill(~opened, -torch.inf)
        weights = zero_where_invalid(logits.softmax(-1), exists)
        weighted = {
            name: zero_where_invalid(x, masks.get(name)) * weights[:, index, None, None].to(x.dtype)
            for index, (name, x) in enumerate(sequences.items())
        }
        return ModalityWeightingOutput(weighted, weights)

    def _flat(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        assert self.num_frames is not None
        if x.shape[1] == 0:
            # The modality is missing from the whole batch.
            return x.new_zeros(x.shape[0], self.num_frames[name] * self.features)
        if x.shape[1] != self.num_frames[name]:
            raise ShapeError(
                f"ModalityWeighting: sequences[{name!r}] must have {self.num_frames[name]} frames for form='flatten', "
                f"got {x.shape[1]}; form='pooled' takes any length."
            )
        return zero_where_invalid(x, mask).flatten(1)

    def extra_repr(self) -> str:
        """Settings in the repr."""
        return f"modalities={self.modalities}, form={self.form!r}"

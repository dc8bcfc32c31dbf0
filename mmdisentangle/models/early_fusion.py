"""Early fusion: all modalities on one timeline, side by side, through one encoder."""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional._resampling import resample_frames
from mmdisentangle.models._early_fusion_settings import EarlyFusionSettings
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._pooling import pooled, pooled_width
from mmdisentangle.nn import TemporalConvEncoder
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._dropout import Dropout


class EarlyFusionOutput(NamedTuple):
    """What `EarlyFusion` returns.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: code of all modalities together, ``[B, P]``; P is ``hidden_features``, or twice that.
        shared: ``fused`` for every modality, which has no code of its own; 0 where it is missing.
        private: 0, ``[B, P]`` per modality: nothing is kept apart.
        present: which samples have the modality, ``[B]``, of every modality that came with a mask or may be missing;
            others are there in all.

    Example:
        >>> model = EarlyFusion({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> output.fused.shape, output.private["audio"].abs().max().item()
        (torch.Size([2, 16]), 0.0)
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    present: dict[str, Tensor]


class EarlyFusionObjective(NamedTuple):
    """The objective is the task alone, each 0-dim.

    Attributes:
        total: what is minimised.
        task: loss of the prediction, the same.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = EarlyFusion({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0]))
        >>> round(objective.total.item(), 1), objective.total is objective.task
        (8.4, True)
    """

    total: Tensor
    task: Tensor


class EarlyFusion(MultimodalModel):
    r"""Features of all modalities side by side at every moment, one encoder: a baseline without disentanglement.

    .. math:: z_t = [x_1(t); \dots; x_M(t)], \qquad \hat y = \mathrm{Head}(\mathrm{pool}_t\, \mathrm{Encoder}(z))

    The timeline of a sample has as many places as its longest modality has real frames. The others are spread evenly
    over it and interpolated linearly: first frame to first place, last frame to last. A missing modality is 0.

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, e_m]`` for some or all modalities, called with ``(x, mask)``
            before the timelines are joined; each must have an attribute ``out_features``. None by default.
        **settings: fields of `EarlyFusionSettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `EarlyFusionOutput`, and `EarlyFusionObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> model = EarlyFusion({"text": 16, "audio": 4}, num_outputs=1)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> model(inputs).prediction.shape
        torch.Size([2, 1])

    References:
        Baltrušaitis, Ahuja and Morency, "Multimodal Machine Learning: A Survey and Taxonomy", 2018, arXiv:1705.09406.
    """

    model_name = "early_fusion"
    paper = (
        "Early fusion: all modalities side by side, one encoder. See Baltrušaitis, Ahuja and Morency, "
        '"Multimodal Machine Learning: A Survey and Taxonomy", 2018, arXiv:1705.09406.'
    )
    settings: EarlyFusionSettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.settings = s = EarlyFusionSettings.checked(settings)
        encoded = self._build_encoders(encoders, lambda name: nn.Identity())
        self.joint_encoder = TemporalConvEncoder(
            sum(encoded.values()),
            s.hidden_features,
            num_blocks=s.encoder_blocks,
            kernel_size=s.encoder_kernel_size,
            dropout=s.encoder_dropout,
        )
        self.head = nn.Sequential(
            Dropout(s.head_dropout),
            nn.Linear(pooled_width(s.hidden_features, s.pooling), s.head_features),
            nn.GELU(),
            Dropout(s.head_dropout),
            nn.Linear(s.head_features, num_outputs),
        )
        self.task_term = self._task_term()

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> EarlyFusionOutput:
        """Join, encode and predict."""
        inputs, masks = resolve_inputs("EarlyFusion", self.widths, inputs, masks, present)
        here = {name: mask.any(1) for name, mask in masks.items()}
        joined, mask = self._joined({n: self._encode(n, x, masks.get(n)) for n, x in inputs.items()}, masks)
        sequence = checkpointed(self.joint_encoder, joined, mask, active=self.settings.checkpoint_activations)
        fused = pooled(sequence, mask, self.settings.pooling)
        prediction = self.task_term.in_units(self.head(fused))
        shared = {name: zero_where_invalid(fused, here.get(name)) for name in inputs}
        return EarlyFusionOutput(prediction, fused, shared, {n: torch.zeros_like(fused) for n in inputs}, here)

    @staticmethod
    def _joined(sequences: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """All modalities on the timeline of the longest one, ``[B, T, sum of widths]``, and its mask."""
        first = next(iter(sequences.values()))
        # Without a comparison, which would tie a compiled graph to the modality that happened to be the longest.
        size = reduce(torch.sym_max, (x.shape[1] for x in sequences.values()))
        lengths = [
            masks[name].sum(1) if name in masks else torch.full(x.shape[:1], x.shape[1], device=x.device)
            for name, x in sequences.items()
        ]
        counts = torch.stack(lengths).amax(0)
        resampled = [resample_frames(x, masks.get(name), counts, size) for name, x in sequences.items()]
        mask = torch.arange(size, device=first.device) < counts.unsqueeze(1) if masks else None
        return torch.cat(resampled, -1), mask

    def objective(self, output: EarlyFusionOutput, target: Tensor) -> EarlyFusionObjective:
        """Return the task term, which is all there is.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        task = self.task_term(output.prediction, target)
        return EarlyFusionObjective(task, task)

"""Late fusion: every modality by itself until the last moment; the baseline that others have to beat."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.models._inputs import resolve_inputs
from mmdisentangle.models._late_fusion_settings import LateFusionSettings
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._pooling import pooled, pooled_width
from mmdisentangle.nn import TemporalConvEncoder
from mmdisentangle.nn._dropout import Dropout
from mmdisentangle.nn._modality_modules import ModalityModules


class LateFusionOutput(NamedTuple):
    """What `LateFusion` returns.

    Attributes:
        prediction: ``[B, num_outputs]``: target units, or logits.
        fused: codes of all modalities side by side, ``[B, M P]``; P is ``hidden_features``, or twice that.
        shared: 0, ``[B, P]`` per modality: no modality knows of another.
        private: code of every modality, ``[B, P]``; 0 where it is missing.
        present: which samples have the modality, ``[B]``, of every modality that came with a mask or may be missing;
            others are there in all.

    Example:
        >>> model = LateFusion({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> output.fused.shape, output.private["audio"].shape
        (torch.Size([2, 32]), torch.Size([2, 16]))
        >>> output.shared["audio"].abs().max().item()
        0.0
    """

    prediction: Tensor
    fused: Tensor
    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    present: dict[str, Tensor]


class LateFusionObjective(NamedTuple):
    """The objective is the task alone, each 0-dim.

    Attributes:
        total: what is minimised.
        task: loss of the prediction, the same.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = LateFusion({"text": 16, "audio": 4}, hidden_features=8)
        >>> output = model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)})
        >>> objective = model.objective(output, torch.tensor([3.0, -3.0]))
        >>> round(objective.total.item(), 1), objective.total is objective.task
        (8.3, True)
    """

    total: Tensor
    task: Tensor


class LateFusion(MultimodalModel):
    r"""An encoder per modality, pooled over time, joined at the very end: the baseline without disentanglement.

    .. math:: c_m = \mathrm{pool}_t\, \mathrm{Encoder}_m(x_m), \qquad
              \hat y = \mathrm{Head}([c_1; \dots; c_M]) \quad\text{or}\quad
              \hat y = \sum_m w_m\, \mathrm{Head}_m(c_m)

    With the second form, ``fusion="mean"`` or ``"weighted"``, the weights are those of the modalities that a sample has
    and sum to one, so that a missing modality is left out. The first has zeros in its place.

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.
        encoders: modules ``[B, T_m, d_m] -> [B, T_m, hidden_features]`` for some or all modalities, called with
            ``(x, mask)``, in place of the default; each must have an attribute ``out_features``.
        **settings: fields of `LateFusionSettings`.

    Shape:
        inputs ``[B, T_m, d_m]``, masks ``[B, T_m]``, present ``[B]`` per modality; target ``[B, num_outputs]`` (``[B]``
        where there is one output), int64 ``[B]`` for classification.

    Returns:
        `LateFusionOutput`, and `LateFusionObjective` from `objective`.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        UnknownNameError: no setting has the name.
        SettingError, ShapeError, DtypeError: an argument does not fit.

    Example:
        >>> model = LateFusion({"text": 16, "audio": 4}, num_outputs=1)
        >>> inputs = {"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}
        >>> model(inputs).prediction.shape
        torch.Size([2, 1])

    References:
        Baltrušaitis, Ahuja and Morency, "Multimodal Machine Learning: A Survey and Taxonomy", 2018, arXiv:1705.09406.
    """

    model_name = "late_fusion"
    paper = (
        "Late fusion: an encoder per modality, joined at the end. See Baltrušaitis, Ahuja and Morency, "
        '"Multimodal Machine Learning: A Survey and Taxonomy", 2018, arXiv:1705.09406.'
    )
    settings: LateFusionSettings

    def __init__(
        self,
        modalities: Mapping[str, int],
        num_outputs: int = 1,
        *,
        encoders: Mapping[str, nn.Module] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(modalities, num_outputs)
        self.settings = s = LateFusionSettings.checked(settings)
        encoded = self._build_encoders(encoders, self._default_encoder)
        codes = {name: pooled_width(width, s.pooling) for name, width in encoded.items()}
        if s.fusion == "concat":
            self.head = self._new_head(sum(codes.values()))
        else:
            self.heads = ModalityModules({name: self._new_head(width) for name, width in codes.items()})
        if s.fusion == "weighted":
            self.weights = nn.Parameter(torch.zeros(len(self.modalities)))
        self.task_term = self._task_term()

    def _default_encoder(self, name: str) -> nn.Module:
        s = self.settings
        return TemporalConvEncoder(
            self.widths[name],
            s.hidden_features,
            num_blocks=s.encoder_blocks,
            kernel_size=s.encoder_kernel_size,
            dropout=s.encoder_dropout,
        )

    def _new_head(self, features: int) -> nn.Module:
        s = self.settings
        return nn.Sequential(
            Dropout(s.head_dropout),
            nn.Linear(features, s.head_features),
            nn.GELU(),
            Dropout(s.head_dropout),
            nn.Linear(s.head_features, self.num_outputs),
        )

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        present: Mapping[str, Tensor] | None = None,
    ) -> LateFusionOutput:
        """Encode, pool and predict."""
        inputs, masks = resolve_inputs(type(self).__name__, self.widths, inputs, masks, present)
        here = {name: mask.any(1) for name, mask in masks.items()}
        codes = {
            name: pooled(self._encode(name, x, masks.get(name)), masks.get(name), self.settings.pooling)
            for name, x in inputs.items()
        }
        fused = torch.cat(list(codes.values()), -1)
        raw = self.head(fused) if self.settings.fusion == "concat" else self._averaged(codes, here)
        nothing = {name: torch.zeros_like(code) for name, code in codes.items()}
        return LateFusionOutput(self.task_term.in_units(raw), fused, nothing, codes, here)

    def _averaged(self, codes: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> Tensor:
        """Mean of the outputs of the modalities that are there; 0 where none is."""
        outputs = torch.stack([self.heads[name](code) for name, code in codes.items()], 1)
        everywhere = torch.ones(outputs.shape[:1], dtype=torch.bool, device=outputs.device)
        exists = torch.stack([here.get(name, everywhere) for name in codes], 1)
        logits = self.weights.to(outputs.dtype) if self.settings.fusion == "weighted" else outputs.new_zeros(len(codes))
        # Rows without any modality are opened, so that softmax divides by something; they are zeroed below.
        open_rows = exists | ~exists.any(1, keepdim=True)
        weights = logits.expand_as(exists).masked_fill(~open_rows, -torch.inf).softmax(1)
        return zero_where_invalid((weights.unsqueeze(-1) * outputs).sum(1), exists.any(1))

    def objective(self, output: LateFusionOutput, target: Tensor) -> LateFusionObjective:
        """Return the task term, which is all there is.

        Args:
            output: of this model.
            target: ``[B, num_outputs]`` or, for one output, ``[B]``; int64 class indices ``[B]`` for classification.
        """
        task = self.task_term(output.prediction, target)
        return LateFusionObjective(task, task)

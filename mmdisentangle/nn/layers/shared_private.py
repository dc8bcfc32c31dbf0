"""Shared and private codes: what every modality could have said, and what only this one says."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_choice, check_count, check_number
from mmdisentangle._core.modalities import check_sequences, in_order, modality_widths, resolve_masks
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn._modality_modules import ModalityModules

CodeActivation: TypeAlias = Literal["sigmoid", "tanh", "identity"]
CODE_ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "identity": nn.Identity}


class SharedPrivateCodes(NamedTuple):
    """What `SharedPrivateEncoder` returns: codes of every modality, ``[B, T_m, D]``, zero at padded frames.

    Attributes:
        shared: what the modality has in common with the others.
        private: what it has for itself.
        projected: its features at the width of the codes, which both codes together should give back.

    Example:
        >>> encoder = SharedPrivateEncoder({"text": 8, "audio": 3}, hidden_features=4)
        >>> codes = encoder({"text": torch.randn(2, 5, 8), "audio": torch.randn(2, 9, 3)})
        >>> {name: tuple(code.shape) for name, code in codes.private.items()}
        {'text': (2, 5, 4), 'audio': (2, 9, 4)}
    """

    shared: dict[str, Tensor]
    private: dict[str, Tensor]
    projected: dict[str, Tensor]


class SharedPrivateEncoder(nn.Module):
    r"""Split the features of every modality into a shared and a private code.

    .. math:: z_m &= \mathrm{LayerNorm}(\mathrm{ReLU}(W_m x_m + b_m)) \\
              \mathrm{private}_m &= \sigma(P_m z_m + p_m), \qquad \mathrm{shared}_m = \sigma(S z_m + s)

    One projection and one private map per modality, one shared map for all. The layer only makes room for the two
    codes; what each holds is decided by the losses: adversary and `CentralMomentDiscrepancy` on shared codes,
    `OrthogonalityLoss` between the two, reconstruction of ``projected`` from both.

    Args:
        modalities: width of every modality, ``{"text": 768, "audio": 74}``.
        hidden_features: width D of the codes.
        activation: ``"sigmoid"`` (codes in 0..1), ``"tanh"`` (-1..1) or ``"identity"``.
        initial_gain: factor on the initial weights of the private and shared maps. At 1, torch's default, sigmoid codes
            of normal features start around 0.5 with a deviation of 0.13; 4 spreads them over the interval (0.33).

    Shape:
        inputs ``[B, T_m, d_m]`` per modality, masks ``[B, T_m]``; every code ``[B, T_m, hidden_features]``.

    Returns:
        `SharedPrivateCodes`; padded frames and missing modalities are 0.

    Raises:
        ModalityError: a modality is missing from inputs, or unknown.
        ShapeError: a width, batch size or mask does not fit.
        DtypeError: an input is not floating, a mask not boolean.
        SettingError: an unknown activation or a width below 1.

    Example:
        >>> encoder = SharedPrivateEncoder({"text": 8, "audio": 3}, hidden_features=4)
        >>> codes = encoder({"text": torch.randn(2, 5, 8), "audio": torch.randn(2, 9, 3)})
        >>> codes.shared["audio"].shape
        torch.Size([2, 9, 4])

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """

    def __init__(
        self,
        modalities: Mapping[str, int],
        hidden_features: int = 128,
        *,
        activation: CodeActivation = "sigmoid",
        initial_gain: float = 1.0,
    ) -> None:
        super().__init__()
        where = "SharedPrivateEncoder"
        self.widths = modality_widths(where, modalities)
        self.modalities = tuple(self.widths)
        check_count(where, "hidden_features", hidden_features)
        check_choice(where, "activation", activation, tuple(CODE_ACTIVATIONS))
        self.hidden_features = hidden_features
        self.projections = ModalityModules(
            {
                name: nn.Sequential(nn.Linear(width, hidden_features), nn.ReLU(), nn.LayerNorm(hidden_features))
                for name, width in modalities.items()
            }
        )
        self.private = ModalityModules({name: nn.Linear(hidden_features, hidden_features) for name in self.modalities})
        self.shared = nn.Linear(hidden_features, hidden_features)
        check_number(where, "initial_gain", initial_gain, low=0, open_low=True)
        with torch.no_grad():
            for linear in (self.shared, *(self.private[name] for name in self.modalities)):
                linear.weight.mul_(initial_gain)
        self.activation = CODE_ACTIVATIONS[activation]()

    def forward(self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> SharedPrivateCodes:
        """Encode every modality."""
        inputs = in_order("SharedPrivateEncoder", "inputs", inputs, self.modalities)
        check_sequences("SharedPrivateEncoder", "inputs", inputs, self.widths)
        masks = resolve_masks("SharedPrivateEncoder", inputs, masks)
        codes = SharedPrivateCodes({}, {}, {})
        for name, x in inputs.items():
            mask = masks.get(name)
            z = self.projections[name](zero_where_invalid(x, mask))
            codes.projected[name] = zero_where_invalid(z, mask)
            codes.shared[name], codes.private[name] = self.split(name, z, mask)
        return codes

    def split(self, name: str, projected: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Shared and private code of one modality that is projected already."""
        shared, private = self.shared(projected), self.private[name](projected)
        return zero_where_invalid(self.activation(shared), mask), zero_where_invalid(self.activation(private), mask)

    def extra_repr(self) -> str:
        """Widths in the repr."""
        return f"modalities={self.widths}, hidden_features={self.hidden_features}"

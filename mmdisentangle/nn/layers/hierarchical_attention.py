"""Hierarchical cross-modal attention: every modality reinforced by all, by the others together, by each of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdisentangle._core.checks import check_count, check_flag
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_sequences, in_order, modality_names, resolve_masks
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.layers.modality_reinforcement import ModalityReinforcementUnit


class HierarchicalCrossModalAttention(nn.Module):
    r"""Bring every modality what the others know, from the mixture of all down to each one of them.

    .. math:: \mathrm{mixed}_m &= \mathrm{MRU}([z_1; \dots; z_M], z_m) \\
              \mathrm{coarse}_m &= \mathrm{MRU}([z_o]_{o \ne m}, \mathrm{mixed}_m) \\
              \mathrm{fine}_m &= \sum_{o \ne m} \mathrm{MRU}(z_o, \mathrm{coarse}_m)

    with sequences joined along time, and a `ModalityReinforcementUnit` of its own for every target, role and layer. The
    result of a layer is the target of the next. Use it for what the modalities have in common.

    Args:
        modalities: names, at least two.
        features: width d of all sequences.
        num_layers: how often.
        update_sources: whether later layers read the results of the layer before instead of the original sequences.
        mixed: whether the first step is there.
        coarse: whether the second is.
        fine: whether the third is; one of them must be.
        checkpoint_activations: keep the sequences between layers only, and compute every layer again in the backward
            pass.
        **unit: settings of `ModalityReinforcementUnit`.

    Shape:
        sequences ``[B, T_m, d]`` and masks ``[B, T_m]`` per modality, any lengths; every result ``[B, T_m, d]``.

    Returns:
        A sequence per modality, 0 at padded frames and where the modality is missing.

    Raises:
        ModalityError: fewer than two modalities, one missing or unknown.
        ShapeError, DtypeError: an argument does not fit.
        SettingError: a setting is out of range, or all steps are off.

    Deviations:
        The paper assumes that every sample has all modalities. Here a missing one adds nothing, and where none of the
        others exists the fine step is left out. The paper leaves the sources of the second layer open; here they are
        the original sequences (``update_sources=False``).

    Example:
        >>> attention = HierarchicalCrossModalAttention(("text", "audio", "vision"), 8, num_heads=2)
        >>> frames = {"text": 3, "audio": 4, "vision": 5}
        >>> result = attention({name: torch.randn(1, length, 8) for name, length in frames.items()})
        >>> {name: list(x.shape) for name, x in result.items()}
        {'text': [1, 3, 8], 'audio': [1, 4, 8], 'vision': [1, 5, 8]}

    References:
        Yang et al., "Asynchronous Multimodal Video Sequence Fusion via Learning Modality-Exclusive and -Agnostic
        Representations", 2024, arXiv:2407.04955.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        features: int,
        *,
        num_layers: int = 2,
        update_sources: bool = False,
        mixed: bool = True,
        coarse: bool = True,
        fine: bool = True,
        checkpoint_activations: bool = False,
        **unit: Any,
    ) -> None:
        super().__init__()
        where = "HierarchicalCrossModalAttention"
        self.modalities = modality_names(where, modalities, least=2)
        check_count(where, "num_layers", num_layers)
        flags = {
            "update_sources": update_sources,
            "mixed": mixed,
            "coarse": coarse,
            "fine": fine,
            "checkpoint_activations": checkpoint_activations,
        }
        for name, flag in flags.items():
            check_flag(where, name, flag)
        if not (mixed or coarse or fine):
            raise SettingError(f"{where}: one of mixed, coarse and fine must be True, got False for all.")
        self.features, self.update_sources = features, update_sources
        self.checkpoint_activations = checkpoint_activations
        self.layers = nn.ModuleList(
            ModalityModules(
                {
                    name: _Reinforcement(
                        ModalityReinforcementUnit(features, **unit) if mixed else None,
                        ModalityReinforcementUnit(features, **unit) if coarse else None,
                        {
                            other: ModalityReinforcementUnit(features, **unit)
                            for other in self.modalities
                            if other != name
                        }
                        if fine
                        else {},
                    )
                    for name in self.modalities
                }
            )
            for _ in range(num_layers)
        )

    def forward(self, sequences: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Reinforce every modality."""
        where = "HierarchicalCrossModalAttention"
        sequences = in_order(where, "sequences", sequences, self.modalities)
        check_sequences(where, "sequences", sequences, self.features)
        masks = resolve_masks(where, sequences, masks)
        targets = sources = {name: zero_where_invalid(x, masks.get(name)) for name, x in sequences.items()}
        for layer in self.layers:
            assert isinstance(layer, ModalityModules)
            targets = {
                name: checkpointed(layer[name], name, target, sources, masks, active=self.checkpoint_activations)
                for name, target in targets.items()
            }
            if self.update_sources:
                sources = targets
        return targets


class _Reinforcement(nn.Module):
    """The three steps of one target."""

    def __init__(
        self,
        mixed: ModalityReinforcementUnit | None,
        coarse: ModalityReinforcementUnit | None,
        fine: Mapping[str, ModalityReinforcementUnit],
    ) -> None:
        super().__init__()
        self.mixed, self.coarse, self.fine = mixed, coarse, ModalityModules(fine)

    def forward(self, name: str, target: Tensor, sources: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        own = masks.get(name)
        if self.mixed is not None:
            target = self.mixed(*_joined(sources, masks, list(sources), target, own))
        others = [other for other in sources if other != name]
        if self.coarse is not None:
            target = self.coarse(*_joined(sources, masks, others, target, own))
        if not list(self.fine):
            return target
        total, exists = None, None
        for other in others:
            mask = masks.get(other)
            here = None if mask is None else mask.any(1)
            part = zero_where_invalid(self.fine[other](sources[other], target, mask, own), here)
            total = part if total is None else total + part
            here = torch.ones(target.shape[:1], dtype=torch.bool, device=target.device) if here is None else here
            exists = here if exists is None else exists | here
        assert total is not None
        assert exists is not None
        return torch.where(exists[:, None, None], total, target)


def _joined(
    sources: Mapping[str, Tensor], masks: Mapping[str, Tensor], names: list[str], target: Tensor, own: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Arguments of a unit whose source is several sequences one after the other."""
    mask = None
    if any(name in masks for name in names):
        mask = torch.cat(
            [
                masks[name]
                if name in masks
                else torch.ones(sources[name].shape[:2], dtype=torch.bool, device=target.device)
                for name in names
            ],
            1,
        )
    return torch.cat([sources[name] for name in names], 1), target, mask, own

"""Text-driven fusion: one modality asks, the others answer where they agree with it."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import ModalityError, ShapeError
from mmdisentangle._core.masks import frame_positions
from mmdisentangle._core.modalities import check_known, check_sequences, in_order, modality_names, resolve_masks
from mmdisentangle._core.numerics import zero_where_invalid
from mmdisentangle.functional import masked_mean, sinusoidal_positions
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._modality_modules import ModalityModules
from mmdisentangle.nn.layers.bilinear_gate import BilinearGate
from mmdisentangle.nn.layers.cross_modal_attention import CrossModalAttention
from mmdisentangle.nn.layers.transformer_block import TransformerBlock

FusionGate: TypeAlias = Literal["hard", "soft", "off", "released"]
FUSION_GATES = ("hard", "soft", "off", "released")
GateAlignment: TypeAlias = Literal["attended", "frame"]
GATE_ALIGNMENTS = ("attended", "frame")


class FusionOutput(NamedTuple):
    """What `TextDrivenFusion` returns.

    Attributes:
        sequence: fused sequence ``[B, Tq, (M-1) D]``; ``Tq`` is the length of the query, 1 where the query is empty.
        mask: real frames of the sequence, ``[B, Tq]``.
        gates: gate of every modality but the query, ``[B, Tq]``, in 0..1.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> fusion = TextDrivenFusion(("text", "audio"), hidden_features=8, gate="soft").eval()
        >>> codes = {"text": torch.rand(2, 5, 8), "audio": torch.rand(2, 9, 8)}
        >>> output = fusion(codes, codes)
        >>> {name: round(gate.mean().item(), 1) for name, gate in output.gates.items()}
        {'audio': 0.5}
    """

    sequence: Tensor
    mask: Tensor
    gates: dict[str, Tensor]


def default_query(modalities: Sequence[str]) -> str:
    """``"text"`` where a modality has that name, else the first."""
    return "text" if "text" in modalities else modalities[0]


class TextDrivenFusion(nn.Module):
    r"""Fuse private codes into the frames of a query modality, gated by the agreement of shared codes.

    .. math:: X_m = \mathrm{LayerNorm}(g_m A_m + q), \qquad
              h = \mathrm{TransformerBlock}(\mathrm{concat}_m X_m), \qquad m \ne \mathrm{query}

    with the query :math:`q` = private code of the query modality + positions, :math:`A_m` its `CrossModalAttention`
    over the private code of modality m + positions, and :math:`g_m` a `BilinearGate` per query frame on the shared
    codes. Lengths may differ between modalities and samples.

    Args:
        modalities: names, at least two; the order fixes that of the concatenation.
        hidden_features: width D of the codes.
        query: the modality that asks; ``"text"`` where there is one, else the first.
        num_heads: of the cross attention; must divide ``hidden_features``.
        dropout: on the result of the cross attention.
        gate: ``"hard"`` (0 or 1, straight-through gradient), ``"soft"``, ``"off"`` (always open, no parameters) or
            ``"released"`` (0 or 1 without any gradient).
        gate_alignment: ``"attended"`` compares a query frame's shared code with what its own attention brings from the
            other modality's shared code; ``"frame"`` compares frame t with frame t and wants equal lengths.
        gate_features: outputs of the gate's bilinear pooling.
        gate_dropout: inside the gate.
        share_gate_head: one head for all gates (that of the first other modality) instead of one each.
        feedforward_features: of the Transformer block; four times its width where None.
        block_dropout: dropout of the Transformer block.
        block_attention_dropout: on the attention weights of the Transformer block; above 0 costs T x T memory on some
            backends.
        position_scale: amplitude of the position encoding. Sigmoid codes vary by a tenth or two: encodings of amplitude
            1, as in the paper, are most of what the attention sees at first.
        rates: frames per second of every modality. Positions are then counted in frames of the query, so that frames of
            the same moment get the same position; None counts each modality's own frames.
        checkpoint_activations: compute cross attention, gates and block again in the backward pass instead of storing
            what is inside them.

    Shape:
        private, shared ``[B, T_m, D]`` and masks ``[B, T_m]`` per modality; see `FusionOutput`.

    Returns:
        `FusionOutput`; padded frames are 0. A missing modality adds nothing: its gate is 0 there. A sample without its
        query is asked by one frame in its place, the mean of the codes of the sample's other modalities.

    Raises:
        ModalityError: fewer than two modalities, an unknown query, or a modality missing from an argument.
        ShapeError: a width, batch size, mask or (``gate_alignment="frame"``) length does not fit.
        SettingError: a setting is out of range.

    Deviations:
        The released RTIL code has dead gates (``"released"``), one head for two gates (``share_gate_head``), gates that
        pair frames by index (``gate_alignment="frame"``) and no masks.

    Example:
        >>> fusion = TextDrivenFusion(("text", "audio"), hidden_features=8)
        >>> code = {"text": torch.rand(2, 5, 8), "audio": torch.rand(2, 9, 8)}
        >>> fusion(code, code).sequence.shape
        torch.Size([2, 5, 8])

    References:
        "Robust Temporal-Invariant Learning in Multimodal Disentanglement", 2024, arXiv:2409.00143.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        hidden_features: int = 128,
        *,
        query: str | None = None,
        num_heads: int = 4,
        dropout: float = 0.2,
        gate: FusionGate = "hard",
        gate_alignment: GateAlignment = "attended",
        gate_features: int = 32,
        gate_dropout: float = 0.4,
        share_gate_head: bool = False,
        feedforward_features: int | None = None,
        block_dropout: float = 0.1,
        block_attention_dropout: float = 0.0,
        position_scale: float = 1.0,
        rates: Mapping[str, float] | None = None,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        where = "TextDrivenFusion"
        self.modalities = modality_names(where, modalities, least=2)
        self.query = default_query(self.modalities) if query is None else query
        check_known(where, "query", self.query, self.modalities)
        check_count(where, "hidden_features", hidden_features)
        check_choice(where, "gate", gate, FUSION_GATES)
        check_choice(where, "gate_alignment", gate_alignment, GATE_ALIGNMENTS)
        self.others = tuple(name for name in self.modalities if name != self.query)
        self.hidden_features, self.gate_alignment = hidden_features, gate_alignment
        check_number(where, "position_scale", position_scale, low=0)
        self.share_gate_head, self.position_scale = share_gate_head, position_scale
        check_flag(where, "checkpoint_activations", checkpoint_activations)
        self.checkpoint_activations = checkpoint_activations
        self.clock = _clock(where, rates, self.modalities, self.query)
        self.attention = ModalityModules(
            {name: CrossModalAttention(hidden_features, num_heads=num_heads, dropout=dropout) for name in self.others}
        )
        self.gates = None
        if gate != "off":
            self.gates = ModalityModules(
                {
                    name: BilinearGate(
                        hidden_features,
                        gate_features=gate_features,
                        mode=gate,
                        dropout=gate_dropout,
                        head=not share_gate_head or name == self.others[0],
                    )
                    for name in self.others
                }
            )
        self.norms = ModalityModules({name: nn.LayerNorm(hidden_features) for name in self.others})
        self.block = TransformerBlock(
            len(self.others) * hidden_features,
            feedforward_features=feedforward_features,
            dropout=block_dropout,
            attention_dropout=block_attention_dropout,
        )

    @property
    def out_features(self) -> int:
        """Width of the fused sequence."""
        return len(self.others) * self.hidden_features

    def forward(
        self,
        private: Mapping[str, Tensor],
        shared: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
    ) -> FusionOutput:
        """Fuse the codes of all modalities."""
        private, shared, masks = self._checked(private, shared, masks)
        query_private, query_shared, query_mask = self._query_codes(private, shared, masks)
        query = query_private + self._positions(query_private, query_mask, self.query)
        streams, gates = [], {}
        for name in self.others:
            stream, gates[name] = checkpointed(
                self._stream,
                name,
                query,
                query_shared,
                query_mask,
                private[name],
                shared[name],
                masks.get(name),
                active=self.checkpoint_activations,
            )
            streams.append(stream)
        sequence = checkpointed(self.block, torch.cat(streams, -1), query_mask, active=self.checkpoint_activations)
        if query_mask is None:
            query_mask = torch.ones(sequence.shape[:2], dtype=torch.bool, device=sequence.device)
        return FusionOutput(sequence, query_mask, gates)

    def _stream(
        self,
        name: str,
        query: Tensor,
        query_shared: Tensor,
        query_mask: Tensor | None,
        private: Tensor,
        shared: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The query with what it took from one modality, and the gate that let it in."""
        context = private + self._positions(private, mask, name)
        if self.gates is None or self.gate_alignment == "frame":
            attended, opposite = self.attention[name](query, context, mask), shared
        else:
            attended, opposite = self.attention[name].with_carried(query, context, shared, mask)
        gate = zero_where_invalid(self._gate(name, opposite, query_shared), query_mask)
        gate = zero_where_invalid(gate, None if mask is None else mask.any(1))
        return self.norms[name](gate.unsqueeze(-1) * attended + query), gate

    def _checked(
        self, private: Mapping[str, Tensor], shared: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Arguments in construction order, everything invalid set to zero."""
        where = "TextDrivenFusion"
        private = in_order(where, "private", private, self.modalities)
        shared = in_order(where, "shared", shared, self.modalities)
        check_sequences(where, "private", private, self.hidden_features)
        check_sequences(where, "shared", shared, self.hidden_features)
        resolved = resolve_masks(where, private, masks)
        for name in self.modalities:
            if shared[name].shape != private[name].shape:
                raise ShapeError(
                    f"{where}: shared[{name!r}] must have the shape of private[{name!r}], got "
                    f"{list(shared[name].shape)} and {list(private[name].shape)}."
                )
            if self.gate_alignment == "frame" and self.gates is not None:
                length, expected = private[name].shape[1], private[self.query].shape[1]
                if length != expected:
                    raise ShapeError(
                        f"{where}: gate_alignment='frame' needs equal lengths, got {length} frames of {name!r} and "
                        f"{expected} of the query {self.query!r}; use gate_alignment='attended' for unaligned streams."
                    )
        zeroed = [
            {name: zero_where_invalid(x, resolved.get(name)) for name, x in codes.items()}
            for codes in (private, shared)
        ]
        return zeroed[0], zeroed[1], resolved

    def _query_codes(
        self, private: Mapping[str, Tensor], shared: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Codes and mask of the query; where a sample lacks it, one frame holds the mean code of the others."""
        private_query, shared_query, mask = private[self.query], shared[self.query], masks.get(self.query)
        if private_query.shape[1] == 0:
            private_query, shared_query = pad(private_query, (0, 0, 0, 1)), pad(shared_query, (0, 0, 0, 1))
            mask = torch.zeros(private_query.shape[:2], dtype=torch.bool, device=private_query.device)
        if mask is None:
            return private_query, shared_query, None
        here = torch.stack([_exists(private[name], masks.get(name)) for name in self.others], 1)
        first = torch.arange(mask.shape[1], device=mask.device) == 0
        substituted = ~mask.any(1, keepdim=True) & first & here.any(1, keepdim=True)
        codes = []
        for own, source in ((private_query, private), (shared_query, shared)):
            pooled = torch.stack([masked_mean(source[name], masks.get(name), 1) for name in self.others], 1)
            substitute = masked_mean(pooled, here, 1).to(own.dtype).unsqueeze(1)
            codes.append(torch.where(substituted.unsqueeze(-1), substitute, own))
        return codes[0], codes[1], mask | substituted

    def _positions(self, codes: Tensor, mask: Tensor | None, name: str) -> Tensor:
        """Encoding of the real frames' numbers, on the query's clock where rates are known."""
        positions = torch.arange(codes.shape[1], device=codes.device) if mask is None else frame_positions(mask)
        tick = self.clock[name]
        encoding = sinusoidal_positions(positions if tick == 1 else positions * tick, self.hidden_features)
        return self.position_scale * encoding.to(codes.dtype)

    def _gate(self, name: str, opposite: Tensor, query_shared: Tensor) -> Tensor:
        if self.gates is None:
            return torch.ones_like(query_shared[..., 0])
        if opposite.shape[1] != query_shared.shape[1]:
            # An empty query was given one frame; an empty aligned stream gets one, too.
            opposite = pad(opposite, (0, 0, 0, 1))
        shared_head = self.gates[self.others[0]].head if self.share_gate_head else None
        gate: Tensor = self.gates[name](opposite, query_shared, shared_head)
        return gate

    def extra_repr(self) -> str:
        """Query and alignment in the repr."""
        return f"query={self.query!r}, modalities={self.modalities}, gate_alignment={self.gate_alignment!r}"


def _exists(codes: Tensor, mask: Tensor | None) -> Tensor:
    """Which samples have a real frame."""
    if mask is None:
        return torch.full(codes.shape[:1], codes.shape[1] > 0, dtype=torch.bool, device=codes.device)
    return mask.any(1)


def _clock(where: str, rates: Mapping[str, float] | None, modalities: Sequence[str], query: str) -> dict[str, float]:
    """Length of one frame of each modality, in frames of the query."""
    if rates is None:
        return dict.fromkeys(modalities, 1.0)
    for name in modalities:
        if name not in rates:
            raise ModalityError(f"{where}: rates lacks {name!r}; expected {list(modalities)}, got {list(rates)}.")
        check_number(where, f"rates[{name!r}]", rates[name], low=0, open_low=True)
    return {name: rates[query] / rates[name] for name in modalities}

"""Cases of single losses and layers. Settings are the defaults of the components; no dropout, so that they compare."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed import peers, released
from benchmarks.speed.agreement import AGREEMENT
from benchmarks.speed.case import (
    EAGER,
    FUSED,
    LIBRARY,
    RELEASED,
    SHORT_LENGTHS,
    Case,
    Provider,
    Setting,
    Sizes,
)
from benchmarks.speed.distances import DISTANCES
from benchmarks.speed.information import INFORMATION
from mmdisentangle import functional
from mmdisentangle import nn as layers
from mmdisentangle.kernels import temporal_invariance as fused_temporal_invariance
from mmdisentangle.models._rtil_released import TORCH_BLOCK

MODALITIES = ("text", "audio", "vision")
WINDOW = 32
# Longest sequence for code that loops over frames or samples.
LOOPED = 512
Providers = Mapping[str, Provider]


def sequence(sizes: Sizes, setting: Setting) -> tuple[Tensor]:
    return (setting.randn(sizes.batch, sizes.length, sizes.features),)


def two_sequences(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor]:
    return (*sequence(sizes, setting), *sequence(sizes, setting))


def modalities(sizes: Sizes, setting: Setting) -> tuple[dict[str, Tensor]]:
    return ({name: sequence(sizes, setting)[0] for name in MODALITIES},)


def two_families(sizes: Sizes, setting: Setting) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return (*modalities(sizes, setting), *modalities(sizes, setting))


def samples(number: int) -> Any:
    """Return a maker of ``number`` code matrices ``[N, D]``, where N is the length."""

    def make(sizes: Sizes, setting: Setting) -> tuple[Tensor, ...]:
        return tuple(
            setting.randn(sizes.length, sizes.features).detach().sigmoid().requires_grad_() for _ in range(number)
        )

    return make


def _layer(module: nn.Module, call: Any = None, **rest: Any) -> Provider:
    return Provider(module if call is None else call, (module,), **rest)


def _full_mask(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)


# ---- losses ----------------------------------------------------------------------------------------------------------


def temporal_samples(features: int, setting: Setting) -> Providers:
    def masked(x: Tensor) -> Tensor:
        return functional.temporal_invariance(x, _full_mask(x))

    found = {
        LIBRARY: Provider(functional.temporal_invariance),
        "library, masked": Provider(masked),
        EAGER: Provider(released.temporal_samples),
    }
    if setting.device.type == "cuda" and setting.dtype != torch.float64:
        found[FUSED] = Provider(lambda x: fused_temporal_invariance(x, impl="fused"))
    return found


def temporal_batch(features: int, setting: Setting) -> Providers:
    return {
        LIBRARY: Provider(lambda x: functional.temporal_invariance(x, aggregation="batch")),
        RELEASED: Provider(released.temporal_batch, longest=LOOPED),
    }


def moments(features: int, setting: Setting) -> Providers:
    loss = layers.CentralMomentDiscrepancy()

    def pairwise(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        result: Tensor = loss.pairwise({"text": x, "audio": y, "vision": z})
        return result

    return {LIBRARY: Provider(pairwise), RELEASED: Provider(released.moments)}


def margin_inputs(sizes: Sizes, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """Features of three modalities, prototypes, classes."""
    target = torch.arange(3, device=setting.device).repeat_interleave(sizes.length)
    return setting.randn(3 * sizes.length, sizes.features), setting.randn(3, sizes.features), target


def margin(features: int, setting: Setting) -> Providers:
    def looped(x: Tensor, prototypes: Tensor, target: Tensor) -> Tensor:
        return released.margin(x, prototypes)

    return {
        LIBRARY: Provider(functional.cosine_margin_loss),
        RELEASED: Provider(looped, longest=LOOPED),
        **peers.margin_losses(3, features, setting),
    }


def reversal(features: int, setting: Setting) -> Providers:
    layer = layers.GradientReversal()
    return {LIBRARY: Provider(layer), **peers.reversals()}


def two_codes(loss: nn.Module) -> Any:
    return lambda features, setting: {LIBRARY: Provider(loss)}


def reconstruction(features: int, setting: Setting) -> Providers:
    loss = layers.ReconstructionLoss()
    return {
        LIBRARY: Provider(loss),
        EAGER: Provider(lambda x, y: torch.stack([(x[name] - y[name]).square().mean() for name in x]).mean()),
    }


def discriminator(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.ModalityDiscriminator(MODALITIES, features, dropout=0.0))
    return {LIBRARY: _layer(layer, lambda codes: layer(codes).loss)}


def double_discriminator(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.DoubleDiscriminator(MODALITIES, features, dropout=0.0))

    def call(agnostic: dict[str, Tensor], exclusive: dict[str, Tensor]) -> tuple[Tensor, ...]:
        told = layer(
            {name: x.mean(1) for name, x in agnostic.items()}, {name: x.mean(1) for name, x in exclusive.items()}
        )
        return told.agnostic, told.exclusive, told.importance

    return {LIBRARY: _layer(layer, call)}


# ---- layers ----------------------------------------------------------------------------------------------------------


def pooling(features: int, setting: Setting) -> Providers:
    return {
        LIBRARY: Provider(lambda x: functional.masked_mean(x, _full_mask(x), 1)),
        EAGER: Provider(lambda x: x.mean(1)),
    }


def shared_private(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.SharedPrivateEncoder(dict.fromkeys(MODALITIES, features), features))

    def call(inputs: dict[str, Tensor]) -> list[Tensor]:
        codes = layer(inputs)
        return [*codes.private.values(), *codes.shared.values()]

    return {LIBRARY: _layer(layer, call)}


def bilinear_gate(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.BilinearGate(features, mode="soft", dropout=0.0))
    return {LIBRARY: _layer(layer)}


def convolution(features: int, setting: Setting) -> Providers:
    return {LIBRARY: _layer(setting.module(lambda: layers.TemporalConvEncoder(features, features, dropout=0.0)))}


def recurrence(features: int, setting: Setting) -> Providers:
    return {LIBRARY: _layer(setting.module(lambda: layers.RecurrentEncoder(features, features)))}


def utterance(features: int, setting: Setting) -> Providers:
    return {LIBRARY: _layer(setting.module(lambda: layers.RecurrentUtteranceEncoder(features)))}


def weighting(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.ModalityWeighting(MODALITIES, features))
    return {LIBRARY: _layer(layer, lambda x: list(layer(x).sequences.values()))}


def frame_graph(features: int, setting: Setting) -> Providers:
    from torch_geometric.nn import TransformerConv

    heads, window = 4, 2.0
    banded = setting.module(
        lambda: layers.DecoupledGraphFusion(MODALITIES, features, level="frame", window=window, num_heads=heads)
    )
    plugged = setting.module(
        lambda: layers.DecoupledGraphFusion(
            MODALITIES,
            features,
            level="frame",
            window=window,
            conv=lambda width: TransformerConv(width, width // heads, heads=heads),
        )
    )
    plugged.load_state_dict({name.replace(".attention.", ".conv.lin_"): x for name, x in banded.state_dict().items()})
    return {
        LIBRARY: _layer(banded, lambda x, y: banded(x, y).fused),
        "torch_geometric TransformerConv": _layer(plugged, lambda x, y: plugged(x, y).fused, longest=8_192),
    }


def cross_transformer(features: int, setting: Setting) -> Providers:
    layer = setting.module(
        lambda: layers.CrossModalTransformer(features, num_heads=4, num_layers=1, dropout=0.0, feedforward_dropout=0.0)
    )
    return {
        LIBRARY: _layer(layer),
        "library, masked": _layer(layer, lambda x, y: layer(x, y, source_mask=_full_mask(y))),
    }


def cross_attention(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.CrossModalAttention(features, dropout=0.0))
    spelt = setting.module(lambda: released.Attention(features, layer.num_heads))
    spelt.load_state_dict(layer.state_dict())
    return {
        LIBRARY: _layer(layer),
        "library, masked": _layer(layer, lambda x, y: layer(x, y, _full_mask(y))),
        RELEASED: _layer(spelt, longest=4_096),
    }


def transformer_block(features: int, setting: Setting) -> Providers:
    layer = setting.module(lambda: layers.TransformerBlock(features, num_heads=4, dropout=0.0))
    theirs = setting.module(
        lambda: nn.TransformerEncoderLayer(features, 4, 4 * features, dropout=0.0, batch_first=True)
    )
    theirs.load_state_dict({TORCH_BLOCK[name]: x for name, x in layer.state_dict().items()})
    return {LIBRARY: _layer(layer), "torch.nn.TransformerEncoderLayer": _layer(theirs)}


def text_driven(features: int, setting: Setting) -> Providers:
    layer = setting.module(
        lambda: layers.TextDrivenFusion(
            MODALITIES, features, gate="soft", dropout=0.0, gate_dropout=0.0, block_dropout=0.0
        )
    )
    return {LIBRARY: _layer(layer, lambda x, y: layer(x, y).sequence)}


def reinforcement(features: int, setting: Setting) -> Providers:
    return {LIBRARY: _layer(setting.module(lambda: layers.ModalityReinforcementUnit(features, dropout=0.0)))}


def hierarchical(features: int, setting: Setting) -> Providers:
    layer = setting.module(
        lambda: layers.HierarchicalCrossModalAttention(MODALITIES, features, num_layers=1, dropout=0.0)
    )
    return {LIBRARY: _layer(layer, lambda x: list(layer(x).values()))}


def predictive(window: int | None) -> Any:
    """Two predictive self-attention layers: the second reads the map of the first."""

    def providers(features: int, setting: Setting) -> Providers:
        first = setting.module(
            lambda: layers.PredictiveSelfAttention(features, num_heads=4, predict=False, window=window, dropout=0.0)
        )
        second = setting.module(
            lambda: layers.PredictiveSelfAttention(features, num_heads=4, window=window, dropout=0.0)
        )

        def call(x: Tensor) -> Tensor:
            result: Tensor = second(*first(x)).sequence
            return result

        return {LIBRARY: Provider(call, (first, second))}

    return providers


COMPONENTS = (
    Case("temporal_invariance", sequence, temporal_samples, batch=1, features=64, compiled=True),
    Case("temporal_invariance_batch", sequence, temporal_batch, batch=4, features=32),
    Case("reconstruction", two_families, reconstruction, batch=1, features=32),
    Case("gradient_reversal", sequence, reversal, batch=1, features=64, compiled=True),
    Case("modality_discriminator", modalities, discriminator, batch=1, features=32),
    Case("double_discriminator", two_families, double_discriminator, batch=1, features=32),
    Case("masked_mean", sequence, pooling, batch=1, features=64),
    Case("shared_private", modalities, shared_private, batch=1, features=32),
    Case("bilinear_gate", two_sequences, bilinear_gate, batch=1, features=64),
    Case("temporal_conv", sequence, convolution, batch=1, features=32),
    Case("recurrent_encoder", sequence, recurrence, batch=1, features=32),
    Case("utterance_encoder", sequence, utterance, batch=1, features=32),
    Case("modality_weighting", modalities, weighting, batch=1, features=32),
    Case("decoupled_frame_graph", two_families, frame_graph, batch=1, features=32),
    Case("predictive_self_attention_window", sequence, predictive(WINDOW), batch=1, features=32),
    Case("predictive_self_attention", sequence, predictive(None), 1, 32, "quadratic", SHORT_LENGTHS),
    Case("cross_modal_transformer", two_sequences, cross_transformer, 1, 64, "quadratic", SHORT_LENGTHS),
    Case("cross_modal_attention", two_sequences, cross_attention, 1, 64, "quadratic", SHORT_LENGTHS),
    Case("transformer_block", sequence, transformer_block, 1, 64, "quadratic", SHORT_LENGTHS),
    Case("modality_reinforcement", two_sequences, reinforcement, 1, 64, "quadratic", SHORT_LENGTHS),
    Case("hierarchical_attention", modalities, hierarchical, 1, 32, "quadratic", SHORT_LENGTHS),
    Case("text_driven", two_families, text_driven, 1, 32, "quadratic", SHORT_LENGTHS),
    # Losses of codes without a time axis, against the number of samples.
    Case("central_moment_discrepancy", samples(3), moments, 1, 64, compiled=True, axis="samples"),
    Case("cosine_margin", margin_inputs, margin, 1, 64, axis="samples"),
    Case("orthogonality", samples(2), two_codes(layers.OrthogonalityLoss()), 1, 64, axis="samples"),
    Case("hsic", samples(2), two_codes(layers.HSICLoss()), 1, 64, "quadratic", SHORT_LENGTHS, axis="samples"),
    Case("cka", samples(2), two_codes(layers.CKALoss()), 1, 64, "quadratic", SHORT_LENGTHS, axis="samples"),
    *DISTANCES,
    *AGREEMENT,
    *INFORMATION,
)

"""A way into the zoo between encoder and fusion: codes as they pass, to look at or to change."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisentangle.nn import SharedPrivateCodes, SharedPrivateEncoder

# (shared, private, masks) -> (shared, private); a modality without a mask is all real.
CodeHook: TypeAlias = Callable[
    [dict[str, Tensor], dict[str, Tensor], Mapping[str, Tensor]], tuple[dict[str, Tensor], dict[str, Tensor]]
]


def hook_encoder(encoder: SharedPrivateEncoder, change: CodeHook) -> RemovableHandle:
    """Pass what the encoder returns through ``change``."""

    def after(_module: nn.Module, arguments: tuple[Any, ...], codes: SharedPrivateCodes) -> SharedPrivateCodes:
        masks = arguments[1] if len(arguments) > 1 else None
        shared, private = change(dict(codes.shared), dict(codes.private), masks or {})
        return SharedPrivateCodes(shared, private, codes.projected)

    return encoder.register_forward_hook(after)


def hook_fusion(fusion: nn.Module, change: CodeHook) -> RemovableHandle:
    """Pass ``(private, shared, masks)``, the arguments of a fusion, through ``change``."""

    def before(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        private, shared, masks = arguments
        shared, private = change(dict(shared), dict(private), masks)
        return private, shared, masks

    return fusion.register_forward_pre_hook(before)

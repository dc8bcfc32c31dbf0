"""What the models of the zoo have in common: modalities, encoders that may be the user's own, configuration."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisentangle._core.checks import check_count
from mmdisentangle._core.errors import DtypeError, SettingError
from mmdisentangle._core.modalities import check_known, modality_widths
from mmdisentangle.models._code_hook import CodeHook
from mmdisentangle.models._pretrained import Pretrained
from mmdisentangle.models._settings import ModelSettings
from mmdisentangle.models._task import TaskTerm
from mmdisentangle.nn._checkpoint import checkpointed
from mmdisentangle.nn._modality_modules import ModalityModules


class MultimodalModel(Pretrained):
    """A model of named modalities.

    Args:
        modalities: width of every modality; at least two. The order is kept.
        num_outputs: predicted numbers, classes or labels.

    Raises:
        DtypeError: modalities are not given as a mapping.
        ModalityError: fewer than two modalities.
        SettingError: a width or the number of outputs is not a positive integer.

    Example:
        >>> from mmdisentangle import create_model
        >>> model = create_model("misa", modalities={"text": 16, "audio": 4}, hidden_features=8)
        >>> model.modalities, model.widths["audio"], model.config["hidden_features"]
        (('text', 'audio'), 4, 8)
        >>> type(model).from_config(model.config).config == model.config
        True
    """

    settings: ModelSettings
    least_modalities: ClassVar[int] = 2

    def __init__(self, modalities: Mapping[str, int], num_outputs: int) -> None:
        super().__init__()
        where = type(self).__name__
        self.widths = modality_widths(where, modalities, least=self.least_modalities)
        self.modalities = tuple(self.widths)
        check_count(where, "num_outputs", num_outputs)
        self.num_outputs = num_outputs

    def _build_encoders(
        self, encoders: Mapping[str, nn.Module] | None, default: Callable[[str], nn.Module]
    ) -> dict[str, int]:
        """Set ``encoders``, the user's own where there is one, and return the width that each gives."""
        own = {} if encoders is None else encoders
        self.custom_encoders = tuple(own)
        for name in self.custom_encoders:
            check_known(type(self).__name__, "encoders", name, self.modalities)
        parts = {name: own[name] if name in own else default(name) for name in self.modalities}
        widths = {name: self._out_features(name, encoder) for name, encoder in parts.items()}
        self.encoders = ModalityModules(parts)
        self._encoded_widths = widths
        return widths

    def _out_features(self, name: str, encoder: nn.Module) -> int:
        where = type(self).__name__
        if not isinstance(encoder, nn.Module):
            raise DtypeError(f"{where}: encoders[{name!r}] must be a torch.nn.Module, got {type(encoder).__name__}.")
        if isinstance(encoder, nn.Identity):
            return self.widths[name]
        features = getattr(encoder, "out_features", None)
        if not isinstance(features, int):
            raise SettingError(
                f"{where}: encoders[{name!r}] ({type(encoder).__name__}) must have an integer attribute out_features, "
                f"got {features!r}."
            )
        return features

    def _encode(self, name: str, x: Tensor, mask: Tensor | None) -> Tensor:
        encoder = self.encoders[name]
        if x.shape[1] == 0:
            return x[..., :1].expand(-1, -1, self._encoded_widths[name])
        if isinstance(encoder, nn.Identity):
            return x
        # An encoder of the user's own may have state, which a second run would change once more.
        active = self.settings.checkpoint_activations and name not in self.custom_encoders
        encoded: Tensor = checkpointed(encoder, x, mask, active=active)
        return encoded

    def register_code_hook(self, change: CodeHook) -> RemovableHandle:
        """Pass the codes of every forward through a function, between the encoder and the fusion.

        Args:
            change: called as ``change(shared, private, masks)`` with mappings by modality; returns ``(shared,
                private)``, changed or not. A modality without a mask is all real.

        Returns:
            A handle; ``handle.remove()`` ends it.

        Raises:
            SettingError: the model does not split codes into shared and private ones.
        """
        raise SettingError(f"{type(self).__name__}: does not split its codes into shared and private ones.")

    def _task_term(self) -> TaskTerm:
        s = self.settings
        return TaskTerm(
            s.task,
            self.num_outputs,
            class_weights=s.class_weights,
            label_smoothing=s.label_smoothing,
            target_location=s.target_location,
            target_scale=s.target_scale,
            gather=s.gather,
        )

    def _variant(self) -> dict[str, Any]:
        """Arguments beside the settings that the configuration must hold."""
        return {}

    @property
    def config(self) -> dict[str, Any]:
        """Settings that rebuild the model, JSON types only."""
        return {
            "model": self.model_name,
            "modalities": dict(self.widths),
            "num_outputs": self.num_outputs,
            **self._variant(),
            **({"custom_encoders": list(self.custom_encoders)} if self.custom_encoders else {}),
            **_json_types(asdict(self.settings)),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **parts: Any) -> Self:
        """Rebuild the model without its weights; ``encoders`` must hold those that were the user's own."""
        config = dict(config)
        missing = [name for name in config.pop("custom_encoders", ()) if name not in (parts.get("encoders") or {})]
        if missing:
            raise SettingError(
                f"{cls.__name__}: the checkpoint was saved with encoders of the user's own for {missing}; pass them as "
                "encoders={...}."
            )
        return super().from_config(config, **parts)


def _json_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_types(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value

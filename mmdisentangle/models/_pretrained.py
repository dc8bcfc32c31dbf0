"""Checkpoints in the layout of the Hugging Face Hub: config.json + model.safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import nn

from mmdisentangle._core.errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


class Pretrained(nn.Module):
    """Saving and loading for models that can be rebuilt from ``config``."""

    model_name: str

    @property
    def config(self) -> dict[str, Any]:
        """Settings that rebuild the model, JSON types only."""
        raise AttributeError(f"{type(self).__name__} defines no config")

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **parts: Any) -> Self:
        """Rebuild the model without its weights."""
        settings = {key: value for key, value in config.items() if key != "model"}
        return cls(**settings, **parts)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into ``directory``, which is made where needed."""
        from safetensors.torch import save_file

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, directory / WEIGHTS_FILE, metadata={"format": "pt"})
        (directory / CONFIG_FILE).write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None, **parts: Any) -> Self:
        """Load a model from a folder, or from a repository of the Hugging Face Hub.

        Args:
            source: a folder that `save_pretrained` wrote, or a repository name such as ``"someone/rtil-mosi"``.
            revision: branch, tag or commit of the repository.
            **parts: modules that the configuration cannot hold, such as ``encoders``.

        Raises:
            CheckpointError: a file is missing, unreadable, of another model, or its weights do not fit.
        """
        directory = find_checkpoint(source, revision)
        config = read_config(directory)
        if config["model"] != cls.model_name:
            raise CheckpointError(
                f"from_pretrained: {directory} holds a model {config['model']!r}, expected {cls.model_name!r}; "
                "mmdisentangle.models.load_pretrained loads whichever it is."
            )
        try:
            model = cls.from_config(config, **parts)
        except (TypeError, ValueError, KeyError) as error:
            raise CheckpointError(f"from_pretrained: {directory / CONFIG_FILE} builds no model: {error}") from error
        load_weights(model, directory)
        model.eval()
        return model


def find_checkpoint(source: str | Path, revision: str | None = None) -> Path:
    """Return the local folder of a checkpoint; download it where ``source`` looks like a repository instead."""
    directory = Path(source)
    if directory.is_dir():
        return directory
    if directory.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise CheckpointError(
            f"from_pretrained: {str(source)!r} is no folder with {CONFIG_FILE} and {WEIGHTS_FILE}, "
            "and no repository name of the form 'owner/name'."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), revision=revision, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    except Exception as error:
        raise CheckpointError(
            f"from_pretrained: {str(source)!r} is no local folder, and could not be downloaded from the Hugging "
            f"Face Hub: {error}"
        ) from error


def read_config(directory: Path) -> dict[str, Any]:
    """Read and check ``config.json``."""
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"from_pretrained: {directory} holds no {CONFIG_FILE}.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"from_pretrained: {path} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise CheckpointError(f"from_pretrained: {path} names no model; expected an object with the key 'model'.")
    return config


def load_weights(model: nn.Module, directory: Path) -> None:
    """Load ``model.safetensors`` strictly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = directory / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"from_pretrained: {directory} holds no {WEIGHTS_FILE}.") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"from_pretrained: {path} cannot be read as safetensors: {error}") from error
    own = model.state_dict()
    problems = [f"lacks {name!r}" for name in own if name not in weights]
    problems += [f"has an unknown {name!r}" for name in weights if name not in own]
    problems += [
        f"has {name!r} of shape {list(weights[name].shape)}, expected {list(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise CheckpointError(f"from_pretrained: {path} does not fit {CONFIG_FILE} beside it: it {shown}.")
    model.load_state_dict(weights)

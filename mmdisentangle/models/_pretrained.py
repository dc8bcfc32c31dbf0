"""Checkpoints in the layout of the Hugging Face Hub: config.json, model.safetensors and a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from torch import nn

from mmdisentangle._core.errors import CheckpointError
from mmdisentangle.models._card import CARD_MARK, model_card

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"


class Pretrained(nn.Module):
    """Saving and loading for models that can be rebuilt from ``config``."""

    model_name: ClassVar[str]
    paper: ClassVar[str]

    @property
    def config(self) -> dict[str, Any]:
        """Settings that rebuild the model, JSON types only."""
        raise AttributeError(f"{type(self).__name__} defines no config")

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **parts: Any) -> Self:
        """Rebuild the model without its weights."""
        settings = {key: value for key, value in config.items() if key != "model"}
        return cls(**settings, **parts)

    def save_pretrained(self, directory: str | Path, *, license: str = "mit") -> None:
        """Write ``config.json``, ``model.safetensors`` and a model card into ``directory``, made where needed.

        Args:
            directory: for the three files. A ``README.md`` that was written by hand is left alone.
            license: of the weights, as the Hub names it, for the card; the data they were trained on may ask for
                another one than this library's.
        """
        from safetensors.torch import save_file

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, directory / WEIGHTS_FILE, metadata={"format": "pt"})
        (directory / CONFIG_FILE).write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        card = directory / CARD_FILE
        if not card.exists() or CARD_MARK in card.read_text(encoding="utf-8"):
            parameters = sum(parameter.numel() for parameter in self.parameters())
            text = model_card(
                self.config, title=type(self).__name__, paper=self.paper, parameters=parameters, license=license
            )
            card.write_text(text, encoding="utf-8")

    def push_to_hub(
        self,
        repository: str,
        *,
        license: str = "mit",
        private: bool = True,
        revision: str | None = None,
        message: str | None = None,
        token: str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to a repository of the Hugging Face Hub, in one commit.

        Args:
            repository: ``"owner/name"``; made where it does not exist.
            license: of the weights, for the card.
            private: whether a repository that is made is private; one that exists stays as it is.
            revision: branch; made where it does not exist.
            message: of the commit.
            token: of the Hub; the one that is logged in where None.

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: the name is no ``"owner/name"``.
        """
        if not is_repository_name(repository):
            raise CheckpointError(f"push_to_hub: repository must have the form 'owner/name', got {repository!r}.")
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, license=license)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message=message or f"Upload a {self.model_name} of mmdisentangle",
                allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE],
            )
        return str(commit.commit_url)

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
    if directory.exists() or not is_repository_name(str(source)):
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


def is_repository_name(name: str) -> bool:
    """Whether a name looks like ``"owner/name"`` and not like a path."""
    return name.count("/") == 1 and all(name.split("/")) and not name.startswith((".", "/", "~"))


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

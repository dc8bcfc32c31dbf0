"""The models by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdisentangle._core.errors import CheckpointError, UnknownNameError, nearest_names
from mmdisentangle.models._pretrained import Pretrained, find_checkpoint, read_config
from mmdisentangle.models.early_fusion import EarlyFusion
from mmdisentangle.models.late_fusion import LateFusion
from mmdisentangle.models.mea import MEA
from mmdisentangle.models.misa import MISA
from mmdisentangle.models.mult import MulT
from mmdisentangle.models.rtil import RTIL

MODELS: dict[str, type[Pretrained]] = {
    model.model_name: model for model in (EarlyFusion, LateFusion, MEA, MISA, MulT, RTIL)
}


def list_models() -> list[str]:
    """Names that `create_model` takes.

    Example:
        >>> "rtil" in list_models()
        True
    """
    return sorted(MODELS)


def _model_class(where: str, name: str) -> type[Pretrained]:
    if name not in MODELS:
        raise UnknownNameError(f"{where}: no model is called {name!r}{nearest_names(str(name), list_models())}")
    return MODELS[name]


def create_model(name: str, *, modalities: Mapping[str, int], num_outputs: int = 1, **settings: Any) -> Any:
    """Build a model of the zoo.

    Args:
        name: one of `list_models`.
        modalities: width of every modality, ``{"text": 768, "audio": 74, "vision": 47}``; the order is kept.
        num_outputs: predicted numbers, classes or labels.
        **settings: of the model; ``published=True`` gives the arithmetic as released.

    Returns:
        A module called as ``model(inputs, masks)``, with ``model.objective(output, target)``.

    Raises:
        UnknownNameError: no model, or no setting, has the name; the nearest ones are listed.

    Example:
        >>> model = create_model("rtil", modalities={"text": 16, "audio": 4}, num_outputs=1, hidden_features=8)
        >>> model({"text": torch.randn(2, 5, 16), "audio": torch.randn(2, 9, 4)}).prediction.shape
        torch.Size([2, 1])
    """
    return _model_class("create_model", name)(modalities=modalities, num_outputs=num_outputs, **settings)


def load_pretrained(source: str | Path, *, revision: str | None = None, **parts: Any) -> Any:
    """Load a checkpoint of whichever model its config.json names.

    Args:
        source: a folder that ``save_pretrained`` wrote, or a repository name of the Hugging Face Hub.
        revision: branch, tag or commit of the repository.
        **parts: modules that the configuration cannot hold, such as ``encoders``.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the checkpoint cannot be read.

    Example:
        >>> import tempfile
        >>> model = create_model("misa", modalities={"text": 16, "audio": 4}, hidden_features=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     loaded = load_pretrained(folder)
        >>> type(loaded).__name__, loaded.config == model.config, loaded.training
        ('MISA', True, False)
    """
    directory = find_checkpoint(source, revision)
    name = read_config(directory)["model"]
    if name not in MODELS:
        raise CheckpointError(
            f"load_pretrained: {directory} holds an unknown model {name!r}{nearest_names(name, list_models())}"
        )
    return MODELS[name].from_pretrained(directory, **parts)

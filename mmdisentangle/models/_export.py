"""The inference path of a model as a program of its own: torch.export and ONNX."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmdisentangle._core.errors import DtypeError, SettingError, require_extra
from mmdisentangle.models._multimodal import MultimodalModel

MASK_SUFFIX = "_mask"


def export_program(model: MultimodalModel) -> ExportedProgram:
    """Export the way from inputs and masks to the prediction with ``torch.export``.

    The program serves every batch size, and every length of every modality, from 1 on. It takes all modalities and all
    masks; a sample that lacks a modality has False in its whole row, a batch that lacks it one such column.

    Args:
        model: any model of the zoo, on any device and of any floating type. It is exported in evaluation mode, and left
            in its own.

    Returns:
        A program; ``program.module()`` is called as ``(inputs, masks)`` and returns the prediction ``[B,
        num_outputs]``. ``torch.export.save`` writes it. Of `EarlyFusion`, torch notes a guard against one sample of one
        frame, which its numbers do not need: ``program.module(check_guards=False)``.

    Raises:
        DtypeError: not a model of the zoo.
        SettingError: a model with an LSTM, or one that ignores masks; neither has a program for all lengths.

    Example:
        >>> from mmdisentangle import create_model
        >>> model = create_model("late_fusion", modalities={"text": 4, "audio": 2}, encoder_blocks=1)
        >>> program = export_program(model).module()
        >>> inputs = {"text": torch.randn(7, 9, 4), "audio": torch.randn(7, 30, 2)}
        >>> masks = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}
        >>> program(inputs, masks).shape
        torch.Size([7, 1])
    """
    _check_exportable("export_program", model)
    return _exported(model)


def export_onnx(model: MultimodalModel, path: str | Path) -> Path:
    """Write the way from inputs and masks to the prediction as an ONNX file.

    Its inputs are every modality under its own name, ``[B, T_m, d_m]``, and its mask under ``<modality>_mask``, boolean
    ``[B, T_m]``, in any batch size and lengths; its output is ``prediction``, ``[B, num_outputs]``. A sample that lacks
    a modality has False in its whole row, a batch that lacks it one such column.

    Args:
        model: any model of the zoo. It is exported in evaluation mode, and left in its own.
        path: of the file; its folder must exist.

    Returns:
        The path.

    Raises:
        DtypeError: not a model of the zoo.
        SettingError: a model with an LSTM, or one that ignores masks; or names of modalities that would collide.
        MissingExtraError: onnx or onnxscript is not installed (``mmdisentangle[onnx]``).

    Example:
        >>> from mmdisentangle import create_model
        >>> model = create_model("late_fusion", modalities={"text": 4, "audio": 2})
        >>> path = export_onnx(model, "late_fusion.onnx")  # doctest: +SKIP
        >>> import onnxruntime  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession(path)  # doctest: +SKIP
        >>> [entry.name for entry in session.get_inputs()]  # doctest: +SKIP
        ['text', 'audio', 'text_mask', 'audio_mask']
    """
    _check_exportable("export_onnx", model)
    names = [*model.modalities, *(name + MASK_SUFFIX for name in model.modalities)]
    if len({*names, "prediction"}) < len(names) + 1:
        raise SettingError(
            f"export_onnx: the modalities {list(model.modalities)} with {MASK_SUFFIX!r} behind them, and 'prediction', "
            "must be distinct names; rename a modality."
        )
    for module in ("onnx", "onnxscript"):
        require_extra(module, "onnx")
    program = _exported(model)
    with warnings.catch_warnings():
        # Those of torch about itself, which no caller can heed.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        written = torch.onnx.export(program, dynamo=True, input_names=names, output_names=["prediction"], verbose=False)
    assert written is not None
    written.save(path)
    return Path(path)


class _Prediction(nn.Module):
    """A model that returns its prediction alone."""

    def __init__(self, model: MultimodalModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        prediction: Tensor = self.model(inputs, masks).prediction
        return prediction


def _check_exportable(where: str, model: object) -> None:
    if not isinstance(model, MultimodalModel):
        raise DtypeError(f"{where}: model must be a model of the zoo, got {type(model).__name__}.")
    recurrent = next((name for name, part in model.named_modules() if isinstance(part, nn.RNNBase)), None)
    if recurrent is not None:
        raise SettingError(
            f"{where}: {type(model).__name__} has an LSTM ({recurrent}), which torch exports for one length only; "
            "build the model with temporal_encoder='conv'."
        )
    if not getattr(model.settings, "honour_masks", True):
        raise SettingError(
            f"{where}: {type(model).__name__} with honour_masks=False (part of published=True) has no program for "
            "padded sequences; export a model with honour_masks=True."
        )


def _exported(model: MultimodalModel) -> ExportedProgram:
    weight = next(model.parameters())
    # Sizes that differ from each other and from 1, which exporters take for constants.
    inputs = {
        name: torch.zeros(2, 5 + index, width, dtype=weight.dtype, device=weight.device)
        for index, (name, width) in enumerate(model.widths.items())
    }
    masks = {name: torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) for name, x in inputs.items()}
    dynamic: dict[str, Any] = {name: {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for name in inputs}
    with _evaluation(model):
        return torch.export.export(_Prediction(model), (inputs, masks), dynamic_shapes=(dynamic, dynamic))


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Every part in evaluation mode, and afterwards each in its own."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True

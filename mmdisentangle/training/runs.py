"""The folder of a training run: what lies in it, and when it counts as finished.

::

    config.yaml        every setting
    run.json           what was trained on what; the mark of a run folder
    last.ckpt          state after the last whole epoch; gone when the run is complete
    previous.ckpt      the one before, for the case that a failing disk has damaged the last
    tensorboard/       event files
    history.json       every logged value of every epoch
    checkpoint/        config.json, model.safetensors, standardizer.json: the chosen weights
    loss_terms.png     each term of the objective over the epochs
    scores.png         each score over the epochs, and on the test data
    metrics.json       scores; written last and in one piece: a folder without it is an unfinished run
"""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from torch import nn

from mmdisentangle._core.errors import CheckpointError, SettingError
from mmdisentangle._core.json_values import json_value
from mmdisentangle.data.dataset import MultimodalDataset
from mmdisentangle.data.lazy import LazySamples
from mmdisentangle.data.standardize import Standardizer
from mmdisentangle.training.config import Config, changed_settings, load_config, save_config

_CHECKPOINTS = ("last.ckpt", "previous.ckpt")
_FILES = ("config.yaml", *_CHECKPOINTS, "last.ckpt.part", "history.json", "loss_terms.png", "scores.png")
_FOLDERS = ("checkpoint", "tensorboard")
# Differences that do not keep a run from being resumed.
_VERSIONS = ("mmdisentangle", "torch")


@dataclass(frozen=True)
class FinishedRun:
    """A run that is complete, read back from its folder.

    Args:
        model: with the chosen weights, in evaluation mode, on the CPU.
        standardizer: the one fitted in training; None where there was none.
        config: all settings.
        identity: what was trained on what, with which versions.
        metrics: scores, chosen epoch and cost, as in ``metrics.json``.

    Example:
        >>> import tempfile
        >>> from mmdisentangle.data import make_shared_private
        >>> from mmdisentangle.training import fit
        >>> data = make_shared_private(20, modalities={"eeg": 4, "gaze": 2}).dataset
        >>> config = load_config(overrides=["training.max_epochs=1"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = fit(config, train=data, model="late_fusion", out=f"{folder}/run")
        ...     run = RunFolder(Path(f"{folder}/run")).load()
        >>> run.identity["model"], run.config == config, run.metrics["epoch"]
        ('late_fusion', True, 1)
    """

    model: nn.Module
    standardizer: Standardizer | None
    config: Config
    identity: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """A run folder, existing or not.

    Args:
        path: the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = RunFolder(Path(folder) / "run")
        ...     print(run.status)
        ...     resumed = run.begin(Config(), {"model": "own", "data": "own"})
        ...     print(run.status, resumed)
        absent
        unfinished False
    """

    path: Path

    @property
    def status(self) -> Literal["absent", "foreign", "unfinished", "complete"]:
        """Return ``absent`` (no folder, or an empty one), ``foreign`` (no run), ``unfinished`` or ``complete``."""
        if not self.path.exists():
            return "absent"
        if not (self.path / "run.json").is_file():
            # A run that was killed while it made its folder left no more than these.
            begun = {"config.yaml", "run.json.part"}
            return "absent" if self.path.is_dir() and {p.name for p in self.path.iterdir()} <= begun else "foreign"
        return "complete" if (self.path / "metrics.json").is_file() else "unfinished"

    def begin(self, config: Config, identity: Mapping[str, Any], *, overwrite: bool = False) -> bool:
        """Make the folder ready for a run.

        Args:
            config: all settings.
            identity: what is trained on what.
            overwrite: remove an earlier run, finished or not. Files that no run writes are left alone.

        Returns:
            True where an unfinished run with the same settings, model and data is to be resumed.

        Raises:
            SettingError: the folder holds a finished run, another run, or something else.
        """
        status = self.status
        if status == "foreign":
            raise SettingError(f"run folder: {self.path} exists and is not a run folder; choose another --out.")
        if overwrite:
            self._remove()
        elif status == "complete":
            raise SettingError(
                f"run folder: {self.path} holds a finished run; use --overwrite to replace it, or another --out."
            )
        elif status == "unfinished":
            if any((self.path / name).is_file() for name in _CHECKPOINTS):
                self.check_same(config, identity)
                return True
            # Stopped before the end of its first epoch: there is nothing to resume, or to protect.
            self._remove()
        self.path.mkdir(parents=True, exist_ok=True)
        save_config(config, self.path / "config.yaml")
        self.write_json("run.json", identity)
        return False

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``, which makes the run a finished one."""
        self.write_json("metrics.json", {"status": "complete", **metrics})
        for name in _CHECKPOINTS:
            (self.path / name).unlink(missing_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Return the place of the latest checkpoint."""
        return self.path / "last.ckpt"

    def write_checkpoint(self, write: Callable[[BinaryIO], object]) -> None:
        """Write the latest checkpoint beside its place, then rename; the one before is kept as the previous.

        Whenever the process or the machine stops, one of the two is whole: the data reach the disk before the name.
        """
        beside = self.path / "last.ckpt.part"
        with beside.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if self.checkpoint.exists():
            self.checkpoint.replace(self.path / "previous.ckpt")
        beside.replace(self.checkpoint)
        _flush_names(self.path)

    def find_checkpoint(self) -> Path:
        """Return the latest checkpoint that is whole, by its checksums.

        Raises:
            CheckpointError: there is none.
        """
        for name in _CHECKPOINTS:
            if _is_whole(self.path / name):
                return self.path / name
        raise CheckpointError(
            f"run folder: no checkpoint in {self.path} can be read; use --overwrite to start the run again."
        )

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file in one piece: beside its place first, then renamed."""
        beside = self.path / f"{name}.part"
        beside.write_text(json.dumps(json_value(value), indent=1) + "\n", encoding="utf-8")
        beside.replace(self.path / name)

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the folder. Raises CheckpointError where it cannot be read."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"run folder: {self.path / name} cannot be read ({error}).") from error

    def load(self) -> FinishedRun:
        """Read a finished run.

        Raises:
            FileNotFoundError: there is no such folder.
            CheckpointError: the run is unfinished or damaged, or the folder holds none.
        """
        if not self.path.is_dir():
            raise FileNotFoundError(2, "no such run folder", str(self.path))
        self._require_complete()
        from mmdisentangle.models import load_pretrained

        folder = self.path / "checkpoint"
        statistics = folder / "standardizer.json"
        return FinishedRun(
            model=load_pretrained(folder),
            standardizer=Standardizer.load(statistics) if statistics.is_file() else None,
            config=load_config(self.path / "config.yaml"),
            identity=self.read_json("run.json"),
            metrics=self.read_json("metrics.json"),
        )

    def _require_complete(self) -> None:
        status = self.status
        if status == "complete":
            found = self.read_json("metrics.json")
            if isinstance(found, dict) and found.get("status") == "complete":
                return
            raise CheckpointError(f"run folder: {self.path / 'metrics.json'} does not say that the run is complete.")
        if status == "unfinished":
            raise CheckpointError(
                f"run folder: the run in {self.path} is unfinished; run its train command again to finish it."
            )
        runs = sorted(p.name for p in self.path.iterdir() if (p / "run.json").is_file())
        hint = f"; it holds the runs {', '.join(runs)}, name one of them" if runs else ""
        raise CheckpointError(f"run folder: {self.path} is not a run folder{hint}.")

    def check_same(self, config: Config, identity: Mapping[str, Any]) -> None:
        """Raise SettingError where the run in this folder has other settings, another model or other data."""
        before = self.read_json("run.json")
        now = json.loads(json.dumps(json_value(identity)))
        changes = [
            f"{key}: {before.get(key)} -> {now.get(key)}"
            for key in now
            if key not in _VERSIONS and before.get(key) != now.get(key)
        ]
        changes += changed_settings(load_config(self.path / "config.yaml"), config)
        if changes:
            raise SettingError(
                f"run folder: {self.path} holds a run with other settings ({'; '.join(changes[:3])}"
                f"{'; ...' if len(changes) > 3 else ''}); use the same ones, --overwrite to replace the run, "
                "or another --out."
            )

    def _remove(self) -> None:
        # The mark of completeness goes first and the mark of a run folder last, so that no moment shows a finished
        # run with half of its files, nor a folder that nobody owns.
        for name in ("metrics.json", *_FILES):
            (self.path / name).unlink(missing_ok=True)
        for name in _FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        (self.path / "run.json").unlink(missing_ok=True)


def describe(model: str, dataset: MultimodalDataset, source: str | None, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return what identifies a run beside its settings."""
    return {
        "model": model,
        "data": source or dataset.name,
        "modalities": dataset.modalities,
        "task": dataset.task,
        "num_outputs": dataset.num_outputs,
        "class_names": None if dataset.class_names is None else list(dataset.class_names),
        "training_data": fingerprint(dataset),
        **versions,
    }


def fingerprint(dataset: MultimodalDataset) -> str:
    """Return a hash of all inputs and targets, so that a run is not resumed on other data.

    Samples on disk have one from when they were written, and are not read again.
    """
    if isinstance(dataset.samples, LazySamples):
        known = dataset.samples.digest()
        if known is not None:
            return known
    digest = hashlib.sha256()
    for sample in dataset:
        for name, x in sample.inputs.items():
            digest.update(f"{name} {tuple(x.shape)} {x.dtype}".encode())
            digest.update(x.double().contiguous().numpy().data)
        if sample.target is not None:
            digest.update(str(sample.target.tolist()).encode())
    return digest.hexdigest()


def _flush_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows, which opens no folders, sees to it itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_whole(path: Path) -> bool:
    # What torch saves is a zip archive, with a checksum for each tensor; a damaged one can end in any of these errors.
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile):
        return False

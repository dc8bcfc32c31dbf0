"""ICT-MMMO clips: reading, cutting the padding, robust scaling, the same for every model of the benchmark.

Woellmer et al., "YouTube movie reviews: sentiment analysis in an audio-visual context", IEEE Intelligent Systems 2013;
features as released with Zadeh et al., "Memory fusion network for multi-view sequential learning", AAAI 2018. They are
research data and no part of this project.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmdisentangle.data import MultimodalDataset, MultimodalSample, Standardizer

MODALITIES = {"text": 300, "audio": 74, "vision": 36}
# Names of the parts in the file: the split that came with the features is not the one used here.
COMPLETE, HELD_OUT, WITHOUT_TEXT = "test", "valid", "train"
POSITIVE_ABOVE = 3.5
# After scaling, in deviations: failed pitch tracking writes numbers hundreds of deviations off.
LIMIT = 5.0


@dataclass(frozen=True)
class Clip:
    """One review: a step per sentence ``[T_m, d_m]`` of every modality it has, and its sentiment, 1 to 5."""

    streams: dict[str, Tensor]
    sentiment: float
    name: str


def read_clips(path: Path, part: str) -> list[Clip]:
    """Clips of one part of the file."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name.startswith(f"{part}_")}
    streams = {name: arrays[f"{part}_{name}"] for name in MODALITIES if f"{part}_{name}" in arrays}
    return cut_clips(streams, arrays[f"{part}_y"], part)


def cut_clips(streams: Mapping[str, np.ndarray], sentiments: np.ndarray, part: str) -> list[Clip]:
    """Clips from arrays ``[N, T, d_m]``: steps of zeros are padding, or a sentence in which the modality is missing.

    Both are left out, and so is a modality without any step.
    """
    clips = []
    for index, sentiment in enumerate(sentiments):
        own = {name: torch.from_numpy(x[index][x[index].any(-1)]) for name, x in streams.items()}
        own = {name: x for name, x in own.items() if len(x)}
        clips.append(Clip(own, float(sentiment), f"{part}-{index}"))
    return clips


def prepare(
    training: Sequence[Clip], scored: Sequence[Clip], modalities: Iterable[str]
) -> tuple[MultimodalDataset, MultimodalDataset]:
    """Training and scored clips, scaled by median and quartiles of the training frames and clipped.

    Training clips without any of the modalities are left out: nothing can be learned from them.
    """
    widths = {name: MODALITIES[name] for name in modalities}
    known = _dataset([clip for clip in training if clip.streams.keys() & widths.keys()], widths)
    scale = Standardizer.fit(known, method="robust")
    return _clipped(scale.apply(known)), _clipped(scale.apply(_dataset(scored, widths)))


def _dataset(clips: Sequence[Clip], widths: dict[str, int]) -> MultimodalDataset:
    samples = [
        MultimodalSample(
            {name: clip.streams[name] for name in widths if name in clip.streams},
            torch.tensor(clip.sentiment),
            clip.name,
        )
        for clip in clips
    ]
    return MultimodalDataset(samples, modalities=widths, task="regression", name="mmmo")


def _clipped(dataset: MultimodalDataset) -> MultimodalDataset:
    return dataset.with_samples(
        [
            MultimodalSample(
                {name: x.clamp(-LIMIT, LIMIT) for name, x in sample.inputs.items()}, sample.target, sample.id
            )
            for sample in dataset
        ]
    )

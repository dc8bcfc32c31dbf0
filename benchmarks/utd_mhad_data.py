"""UTD-MHAD clips: reading, features and augmentation, the same for every model of the benchmark.

Chen, Jafari and Kehtarnavaz, "UTD-MHAD: a multimodal dataset for human action recognition utilizing a depth camera and
a wearable inertial sensor", ICIP 2015. The recordings are research data and no part of this project.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmdisentangle.data import MultimodalDataset, MultimodalSample

TRAINING_SUBJECTS, TEST_SUBJECTS = (1, 3, 5, 7), (2, 4, 6, 8)
NUM_ACTIONS = 27
# Skeleton first: it leads the fusion.
MODALITIES = {"skeleton": 120, "acc": 4, "gyro": 4}
SHOULDER_LEFT, SHOULDER_RIGHT, SPINE_SHOULDER, HIP = 4, 8, 1, 3
# Frames are taken every so many frames of the recording (inertial sensors are halved to 25 Hz first).
STRIDE = {"skeleton": 2.0, "acc": 1.5, "gyro": 1.5}


@dataclass(frozen=True)
class Clip:
    """One recording: skeleton in the body's own frame ``[T, 60]`` at 30 Hz, acc and gyro ``[T, 3]`` at 25 Hz."""

    streams: dict[str, Tensor]
    action: int
    subject: int
    name: str


@dataclass(frozen=True)
class InertialStatistics:
    """Mean and standard deviation per channel of each inertial sensor, over the frames of the training clips."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]


def read_clips(path: Path, subjects: tuple[int, ...]) -> list[Clip]:
    """Read the clips of some subjects; nothing of the others is kept."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    streams = {}
    for name, lengths in (("acc", "inertial_lengths"), ("gyro", "inertial_lengths"), ("skeleton", "skeleton_lengths")):
        streams[name] = np.split(arrays[name], np.cumsum(arrays[lengths])[:-1])
    clips = []
    for index in np.flatnonzero(np.isin(arrays["subject"], subjects)):
        own = {
            "skeleton": torch.from_numpy(body_frame(streams["skeleton"][index])),
            "acc": torch.from_numpy(halve(streams["acc"][index])),
            "gyro": torch.from_numpy(halve(streams["gyro"][index])),
        }
        action, subject, trial = (int(arrays[key][index]) for key in ("action", "subject", "trial"))
        clips.append(Clip(own, action - 1, subject, f"a{action}_s{subject}_t{trial}"))
    return clips


def body_frame(skeleton: np.ndarray) -> np.ndarray:
    """Joints ``[T, 60]`` from the body: turned to the median shoulder axis, in units of the torso, relative to the hip.

    The hip itself becomes its displacement from its median.
    """
    joints = skeleton.reshape(-1, 20, 3).astype(np.float64)
    across = np.median(joints[:, SHOULDER_RIGHT] - joints[:, SHOULDER_LEFT], 0)
    angle = math.atan2(across[2], across[0])
    turn = np.array(
        [[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]], dtype=np.float64
    )
    joints = joints @ turn
    joints = joints / np.median(np.linalg.norm(joints[:, SPINE_SHOULDER] - joints[:, HIP], axis=-1))
    hip = joints[:, HIP].copy()
    joints = joints - hip[:, None]
    joints[:, HIP] = hip - np.median(hip, 0)
    return joints.reshape(-1, 60).astype(np.float32)


def halve(x: np.ndarray) -> np.ndarray:
    """Half the rate, each frame the mean of two."""
    frames = len(x) // 2 * 2
    return x[:frames].reshape(-1, 2, x.shape[1]).mean(1)


def inertial_statistics(clips: list[Clip]) -> InertialStatistics:
    frames = {name: torch.cat([clip.streams[name] for clip in clips]) for name in ("acc", "gyro")}
    return InertialStatistics(
        {name: x.mean(0) for name, x in frames.items()}, {name: x.std(0) for name, x in frames.items()}
    )


class Preparation:
    """From a clip to a sample: plain, or augmented with random numbers from a generator.

    Args:
        clips: every clip that will be asked for, by its name.
        statistics: of the training clips.
        aligned: resample acc and gyro to the skeleton's length, as published RTIL needs.
        drop_rate: augmentation: probability of silencing each modality, one at most.
    """

    def __init__(
        self, clips: list[Clip], statistics: InertialStatistics, *, aligned: bool = False, drop_rate: float = 0.0
    ) -> None:
        self.clips = {clip.name: clip for clip in clips}
        self.statistics, self.aligned, self.drop_rate = statistics, aligned, drop_rate

    def dataset(self, clips: list[Clip], modalities: tuple[str, ...]) -> MultimodalDataset:
        """The clips without augmentation."""
        return MultimodalDataset(
            [self._sample(clip, modalities, _Augmentation.none()) for clip in clips],
            modalities={name: MODALITIES[name] for name in modalities},
            task="classification",
            num_outputs=NUM_ACTIONS,
            groups=[str(clip.subject) for clip in clips],
            name="utd-mhad",
        )

    def augment(self, sample: MultimodalSample, generator: torch.Generator) -> MultimodalSample:
        """Another version of the clip that ``sample`` came from."""
        augmentation = _Augmentation.draw(generator)
        changed = self._sample(self.clips[sample.id], tuple(sample.inputs), augmentation, generator)
        names = list(changed.inputs)
        if len(names) > 1 and torch.rand((), generator=generator) < self.drop_rate * len(names):
            dropped = names[int(torch.randint(len(names), (), generator=generator))]
            # Silent, not absent: the frames are there and hold nothing, as from a sensor that has come loose.
            silent = {name: torch.zeros_like(x) if name == dropped else x for name, x in changed.inputs.items()}
            return MultimodalSample(silent, changed.target, changed.id)
        return changed

    def _sample(
        self,
        clip: Clip,
        modalities: tuple[str, ...],
        augmentation: "_Augmentation",
        generator: torch.Generator | None = None,
    ) -> MultimodalSample:
        inputs = {}
        for name in modalities:
            x = augmentation.resample(clip.streams[name], STRIDE[name])
            if name == "skeleton":
                inputs[name] = _skeleton_features(augmentation.move_skeleton(x, generator))
            else:
                x = augmentation.turn_sensor(x, name)
                inputs[name] = self._inertial_features(name, x, generator)
        if self.aligned:
            length = len(inputs["skeleton"])
            inputs = {name: _interpolate(x, torch.linspace(0, 1, length)) for name, x in inputs.items()}
        return MultimodalSample(inputs, torch.tensor(clip.action), clip.name)

    def _inertial_features(self, name: str, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Standardised channels and the standardised magnitude."""
        mean, deviation = self.statistics.mean[name], self.statistics.deviation[name]
        magnitude = x.norm(dim=-1, keepdim=True)
        # At rest the accelerometer shows 1 g.
        magnitude = (magnitude - 1) / deviation.mean() if name == "acc" else magnitude / deviation.mean() - 1
        features = torch.cat(((x - mean) / deviation, magnitude), -1)
        return features if generator is None else features + 0.05 * torch.randn(features.shape, generator=generator)


def _skeleton_features(x: Tensor) -> Tensor:
    """Positions and velocities (central differences, zero at both ends)."""
    velocity = torch.zeros_like(x)
    velocity[1:-1] = (x[2:] - x[:-2]) * 2.5
    return torch.cat((x, velocity), -1)


def _interpolate(x: Tensor, where: Tensor) -> Tensor:
    """Values at ``where`` in 0..1 of the clip's duration, linear between frames."""
    position = (where * (len(x) - 1)).clamp(0, len(x) - 1)
    low = position.floor().long()
    weight = (position - low).unsqueeze(-1)
    return x[low] * (1 - weight) + x[(low + 1).clamp(max=len(x) - 1)] * weight


@dataclass(frozen=True)
class _Augmentation:
    """One draw: speed, warp and cut in time; rotations and scales in space. The same for all modalities of a clip."""

    speed: float
    warp: float
    start: float
    span: float
    skeleton_turn: Tensor
    sensor_turn: Tensor
    skeleton_scale: Tensor
    sensor_scale: dict[str, float]

    @classmethod
    def none(cls) -> "_Augmentation":
        return cls(1.0, 0.0, 0.0, 1.0, torch.eye(3), torch.eye(3), torch.ones(3), {"acc": 1.0, "gyro": 1.0})

    @classmethod
    def draw(cls, generator: torch.Generator) -> "_Augmentation":
        def uniform(limit: float) -> float:
            return (float(torch.rand((), generator=generator)) * 2 - 1) * limit

        def axis() -> Tensor:
            return torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0)

        cut = float(torch.rand((), generator=generator)) * 0.15
        upright = _rotation(torch.tensor([0.0, 1.0, 0.0]), uniform(math.radians(15)))
        return cls(
            speed=math.exp(uniform(0.25)),
            warp=uniform(0.3),
            start=float(torch.rand((), generator=generator)) * cut,
            span=1 - cut,
            skeleton_turn=upright @ _rotation(axis(), uniform(math.radians(5))),
            sensor_turn=_rotation(axis(), uniform(math.radians(15))),
            skeleton_scale=1 + (torch.rand(3, generator=generator) * 2 - 1) * 0.1,
            sensor_scale={"acc": 1 + uniform(0.1), "gyro": 1 + uniform(0.2)},
        )

    def resample(self, x: Tensor, stride: float) -> Tensor:
        frames = max(int((len(x) - 1) * self.span / (stride * self.speed)), 4) + 1
        u = torch.linspace(0, 1, frames)
        u = u + self.warp * torch.sin(2 * math.pi * u) / (2 * math.pi)
        return _interpolate(x, self.start + self.span * u)

    def move_skeleton(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            return x
        joints = x.unflatten(-1, (20, 3)) @ self.skeleton_turn * self.skeleton_scale
        # Every joint a little off for the whole clip, and a little more in each frame.
        offset = 2 * torch.randn(20, 3, generator=generator) + torch.randn(joints.shape, generator=generator)
        return (joints + 0.02 * offset).flatten(-2)

    def turn_sensor(self, x: Tensor, name: str) -> Tensor:
        return x @ self.sensor_turn * self.sensor_scale[name]


def _rotation(axis: Tensor, angle: float) -> Tensor:
    """Rotation matrix about a unit axis (Rodrigues)."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross

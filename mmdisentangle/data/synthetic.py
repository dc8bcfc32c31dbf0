"""Sequences of which one knows what is shared between modalities and what is private to each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_count, check_flag, check_number
from mmdisentangle._core.errors import DtypeError, ModalityError, SettingError
from mmdisentangle._core.modalities import check_known, modality_widths
from mmdisentangle.data._latent import (
    LinearObservation,
    NetworkObservation,
    SmoothProcess,
    clip_variance,
    draw_gaps,
    draw_repeated,
)
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import TASKS, MultimodalDataset, Task

Difficulty = Literal["easy", "medium", "hard"]
Observation = Literal["linear", "network"]

_SHARED = "shared"
# Settings by difficulty, for those that are left at None.
_DIFFICULTIES: dict[str, dict[str, Any]] = {
    "easy": {"noise": 0.1, "observation": "linear", "redundancy": 0.0, "gaps": 0.0},
    "medium": {"noise": 0.3, "observation": "network", "redundancy": 0.3, "gaps": 0.1},
    "hard": {"noise": 1.0, "observation": "network", "redundancy": 0.6, "gaps": 0.3},
}


@dataclass(frozen=True)
class SharedPrivateData:
    """A synthetic data set and the factors it was made from.

    Args:
        dataset: what a model sees.
        times: modality name to one ``[T_mn]`` per sample: when each frame was recorded, the whole clip being 0 to 1.
        shared: modality name to one ``[T_mn, shared_factors]`` per sample: what each frame of that modality shows of
            the shared process.
        private: modality name to one ``[T_mn, private_factors]`` per sample.
        shared_mean: the shared process averaged over each clip.
        private_mean: modality name to its private process averaged over each clip.
        cues: modality name to the value of its spurious cue in each sample, for modalities that have one.

    Example:
        >>> data = make_shared_private(
        ...     4, modalities={"eeg": 6, "gaze": 4}, lengths={"eeg": 50, "gaze": 20}
        ... )
        >>> data.dataset[0].inputs["eeg"].shape, data.shared["eeg"][0].shape
        (torch.Size([50, 6]), torch.Size([50, 2]))
        >>> {name: tuple(factor.shape) for name, factor in data.factors.items()}
        {'shared': (4, 2), 'eeg': (4, 2), 'gaze': (4, 2)}
    """

    dataset: MultimodalDataset
    times: dict[str, tuple[Float[Tensor, " _"], ...]]
    shared: dict[str, tuple[Float[Tensor, "_ S"], ...]]
    private: dict[str, tuple[Float[Tensor, "_ P"], ...]]
    shared_mean: Float[Tensor, "N S"]
    private_mean: dict[str, Float[Tensor, "N P"]]
    cues: dict[str, Float[Tensor, " N"]]

    @property
    def factors(self) -> dict[str, Float[Tensor, "N K"]]:
        """The factors of every clip by name, as `evaluation.leakage` takes them: ``shared`` and every modality's."""
        return {_SHARED: self.shared_mean, **self.private_mean}


class SharedPrivateGenerator:
    r"""A world of modalities that observe one shared process and a private process each; `draw` takes clips from it.

    .. math:: x_m(t) = f_m\bigl(s(t), p_m(t), c_m\bigr) + \sigma\, \epsilon_m(t)

    Every factor is a level plus three cosines of random amplitude and phase, so it is smooth in time and known at any
    time: modalities of different lengths see the same clip at different rates. All factors are independent, standard
    normal at every single time. Use it to check a claim of disentanglement: the shared codes should tell ``shared`` and
    not ``private``. The maps :math:`f_m` and the weights of the target belong to the world, so training and test data
    drawn from one generator fit together.

    Args:
        modalities: name to width; three modalities ``a``, ``b``, ``c`` of widths 8, 6 and 5 where None. A width of at
            least the number of its factors lets all of them be read linearly from that modality alone (for
            ``observation="linear"``).
        lengths: frames of a whole clip, for all modalities or by name.
        shared_factors: number of factors that every modality sees.
        private_factors: number of factors that one modality alone sees.
        difficulty: ``"easy"``, ``"medium"`` or ``"hard"``: sets noise, observation, redundancy and gaps where these are
            None; easy is noise 0.1 and linear, without redundancy and gaps.
        noise: standard deviation of the noise on every channel.
        observation: ``"linear"``, random orthogonal directions, or ``"network"``, a random network with a hidden layer.
        redundancy: chance that a frame repeats the one before it, noise included.
        gaps: share of every modality's frames that is lost in one segment; the frames after it move up.
        smoothness: 1 lets a factor swing at most twice over a whole clip, 2 at most once, and so on.
        ragged: cut every clip after a share of its time drawn from 0.5 to 1, the same share for all its modalities.
        missing: chance that a modality is missing from a sample. One modality of every sample always stays.
        task: kind of target, from the clip means of ``target_factors``: linear sums of unit variance (regression), the
            quantile class of one such sum (classification), signs of such sums (multilabel).
        num_outputs: 1 regression output, 3 classes or 3 labels where None.
        target_factors: what the target is made of: ``"shared"``, and names of modalities for their private factors.
        cues: modality name to the correlation of a spurious cue with the target (its first sum): one more factor,
            constant over the clip, that this modality alone shows. A model that leans on it fails where `draw` is
            told other cues.
        seed: of the world: the maps and the weights of the target.

    Raises:
        SettingError, ModalityError: settings out of range, lengths for unknown modalities.

    Example:
        >>> world = SharedPrivateGenerator(modalities={"eeg": 6, "gaze": 4}, lengths={"eeg": 50, "gaze": 20})
        >>> train, test = world.draw(100, seed=0), world.draw(20, seed=1)
        >>> train.dataset[0].inputs["eeg"].shape, test.shared["gaze"][0].shape
        (torch.Size([50, 6]), torch.Size([20, 2]))
        >>> round(world.mutual_information("eeg", "shared"), 2)
        5.02
    """

    def __init__(
        self,
        *,
        modalities: Mapping[str, int] | None = None,
        lengths: int | Mapping[str, int] = 32,
        shared_factors: int = 2,
        private_factors: int = 2,
        difficulty: Difficulty = "easy",
        noise: float | None = None,
        observation: Observation | None = None,
        redundancy: float | None = None,
        gaps: float | None = None,
        smoothness: float = 1.0,
        ragged: bool = False,
        missing: float = 0.0,
        task: Task = "regression",
        num_outputs: int | None = None,
        target_factors: Sequence[str] = (_SHARED,),
        cues: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        where = "SharedPrivateGenerator"
        if cues is not None and not isinstance(cues, Mapping):
            raise DtypeError(f"{where}: cues must be a mapping from modality to correlation, got {cues!r}.")
        self.modalities = modality_widths(where, {"a": 8, "b": 6, "c": 5} if modalities is None else modalities)
        self.names = tuple(self.modalities)
        if _SHARED in self.names:
            raise ModalityError(f"{where}: 'shared' names the shared factors; call the modality otherwise.")
        check_choice(where, "difficulty", difficulty, tuple(_DIFFICULTIES))
        usual = _DIFFICULTIES[difficulty]
        self.noise: float = usual["noise"] if noise is None else noise
        self.observation: Observation = usual["observation"] if observation is None else observation
        self.redundancy: float = usual["redundancy"] if redundancy is None else redundancy
        self.gaps: float = usual["gaps"] if gaps is None else gaps
        check_number(where, "noise", self.noise, low=0)
        check_choice(where, "observation", self.observation, ("linear", "network"))
        for label, share in (("redundancy", self.redundancy), ("gaps", self.gaps), ("missing", missing)):
            check_number(where, label, share, low=0, high=1)
        check_number(where, "smoothness", smoothness, low=0, open_low=True)
        check_flag(where, "ragged", ragged)
        check_choice(where, "task", task, TASKS)
        check_count(where, "shared_factors", shared_factors)
        check_count(where, "private_factors", private_factors, low=0)
        check_count(where, "seed", seed, low=0)
        self.num_outputs = (1 if task == "regression" else 3) if num_outputs is None else num_outputs
        check_count(where, "num_outputs", self.num_outputs, low=2 if task == "classification" else 1)
        self.lengths = _resolve_lengths(where, lengths, self.names)
        self.target_factors = _resolve_target(where, target_factors, self.names, private_factors)
        self.cues = _resolve_cues(where, cues or {}, self.names)
        self.shared_factors, self.private_factors = shared_factors, private_factors
        self.smoothness, self.ragged, self.missing, self.task, self.seed = smoothness, ragged, missing, task, seed
        # A stream of its own: the same number also seeds draws.
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence((seed, 1)).generate_state(1)[0]))
        kind = LinearObservation if self.observation == "linear" else NetworkObservation
        self._observations = {
            name: kind(shared_factors + private_factors + (name in self.cues), width, generator)
            for name, width in self.modalities.items()
        }
        chosen = sum(shared_factors if name == _SHARED else private_factors for name in self.target_factors)
        sums = 1 if task == "classification" else self.num_outputs
        # No factor counts for much more than another.
        signs = torch.randint(0, 2, (chosen, sums), generator=generator) * 2 - 1
        self._weights = signs * (0.5 + torch.rand(chosen, sums, generator=generator))

    def draw(self, num_samples: int, *, seed: int = 0, cues: Mapping[str, float] | None = None) -> SharedPrivateData:
        """Draw clips.

        Args:
            num_samples: number of clips.
            seed: of this draw, through a ``torch.Generator``; global random state is neither used nor changed.
            cues: correlations of the cues with the target in these clips, in place of the world's; a cue that is not
                named has correlation 0.

        Returns:
            The data set together with its factors.
        """
        where = "SharedPrivateGenerator.draw"
        check_count(where, "num_samples", num_samples)
        check_count(where, "seed", seed, low=0)
        correlations = self._cue_correlations(where, cues)
        generator = torch.Generator().manual_seed(seed)
        span = 0.5 + 0.5 * torch.rand(num_samples, generator=generator) if self.ragged else torch.ones(num_samples)
        counts = {_SHARED: self.shared_factors, **dict.fromkeys(self.names, self.private_factors)}
        processes = {
            name: SmoothProcess(num_samples, count, self.smoothness, generator) for name, count in counts.items()
        }
        means = {name: process.clip_mean(span) for name, process in processes.items()}
        sums = self._target_sums(means)
        cue_values = {
            name: r * sums[:, 0] + (1 - r**2) ** 0.5 * torch.randn(num_samples, generator=generator)
            for name, r in correlations.items()
        }
        kept = _draw_kept(num_samples, len(self.names), self.missing, generator)

        times, shared, private, observed = {}, {}, {}, {}
        for name in self.names:
            length = self.lengths[name]
            grid = torch.arange(length).expand(num_samples, -1) / length
            s, p = processes[_SHARED](grid), processes[name](grid)
            cue = cue_values[name][:, None, None].expand(-1, length, 1) if name in cue_values else s[..., :0]
            x = self._observations[name](torch.cat([s, p, cue], -1))
            x = x + self.noise * torch.randn(x.shape, generator=generator)
            shown = draw_repeated((num_samples, length), self.redundancy, generator)
            rows = torch.arange(num_samples).unsqueeze(1)
            ends = (span * length).round().long().clamp(1, length)
            here = draw_gaps(ends, length, self.gaps, generator)
            times[name], shared[name], private[name], observed[name] = (
                tuple(value[keep] for value, keep in zip(values, here, strict=True))
                for values in (grid, s[rows, shown], p[rows, shown], x[rows, shown])
            )
        target = self._target(sums)
        samples = [
            MultimodalSample(
                {name: observed[name][n] for m, name in enumerate(self.names) if bool(kept[n, m])}, target[n], str(n)
            )
            for n in range(num_samples)
        ]
        dataset = MultimodalDataset(
            samples,
            modalities=self.modalities,
            task=self.task,
            num_outputs=self.num_outputs,
            name="shared-private",
        )
        private_mean = {name: means[name] for name in self.names}
        return SharedPrivateData(dataset, times, shared, private, means[_SHARED], private_mean, cue_values)

    def mutual_information(self, modality: str, about: str) -> float:
        """Return the information of one frame of a modality, in nats, exactly.

        Args:
            modality: name of the modality.
            about: ``"shared"`` or ``"private"``, its factors at the time of the frame, or another modality: its frame
                at the same time.

        Raises:
            SettingError: the observation is not linear, or noiseless, or there are cues: there is no closed form.
        """
        where = "SharedPrivateGenerator.mutual_information"
        check_known(where, "modality", modality, self.names)
        if self.observation != "linear" or self.noise == 0 or self.cues:
            raise SettingError(
                f"{where}: is known for observation='linear' with noise and without cues, got "
                f"observation={self.observation!r}, noise={self.noise}, cues={self.cues}."
            )
        shared, private = self._mixing(modality)
        own = shared.mT @ shared + private.mT @ private + self._noise_covariance(modality)
        if about in (_SHARED, "private"):
            rest = private.mT @ private if about == _SHARED else shared.mT @ shared
            return float(own.logdet() - (rest + self._noise_covariance(modality)).logdet()) / 2
        check_known(where, "about", about, self.names)
        if about == modality:
            raise SettingError(f"{where}: about must be another modality, 'shared' or 'private', got {about!r} twice.")
        other_shared, other_private = self._mixing(about)
        other = other_shared.mT @ other_shared + other_private.mT @ other_private + self._noise_covariance(about)
        across = shared.mT @ other_shared
        joint = torch.cat([torch.cat([own, across], 1), torch.cat([across.mT, other], 1)])
        information = float(own.logdet() + other.logdet() - joint.logdet()) / 2
        if not math.isfinite(information):
            raise SettingError(f"{where}: noise={self.noise} is too little for the arithmetic; use more.")
        return information

    def _mixing(self, name: str) -> tuple[Tensor, Tensor]:
        observation = self._observations[name]
        assert isinstance(observation, LinearObservation)
        shared, private = observation.mixing.double().split([self.shared_factors, self.private_factors])
        return shared, private

    def _noise_covariance(self, name: str) -> Tensor:
        return self.noise**2 * torch.eye(self.modalities[name], dtype=torch.float64)

    def _target_sums(self, means: Mapping[str, Tensor]) -> Tensor:
        """Sums of the chosen factors' clip means, ``[N, sums]``, of unit variance over the world."""
        span = torch.linspace(0.5, 1, 32) if self.ragged else torch.ones(1)
        scale = self._weights.square().sum(0).sqrt() * clip_variance(span, self.smoothness).sqrt()
        values: Tensor = torch.cat([means[name] for name in self.target_factors], -1) @ self._weights / scale
        return values

    def _target(self, sums: Tensor) -> Tensor:
        if self.task == "multilabel":
            return (sums > 0).float()
        if self.task == "classification":
            # Quantiles of the world, not of the draw: the same sum is the same class in every draw.
            quantile = torch.special.ndtr(sums.squeeze(-1))
            classes: Tensor = (quantile * self.num_outputs).long()
            return classes.clamp(max=self.num_outputs - 1)
        return sums.squeeze(-1) if self.num_outputs == 1 else sums

    def _cue_correlations(self, where: str, cues: Mapping[str, float] | None) -> dict[str, float]:
        if cues is None:
            return self.cues
        for name in _resolve_cues(where, cues, self.names):
            if name not in self.cues:
                raise SettingError(f"{where}: cues names {name!r}, which shows no cue in this world.")
        return {name: cues.get(name, 0.0) for name in self.cues}


def make_shared_private(num_samples: int = 256, *, seed: int = 0, **settings: Any) -> SharedPrivateData:
    """Draw clips from a world of their own: `SharedPrivateGenerator` with the same seed for the world and the draw.

    Args:
        num_samples: number of clips.
        seed: of everything.
        **settings: fields of `SharedPrivateGenerator`.

    Returns:
        The data set together with its factors.

    Raises:
        SettingError, ModalityError: settings out of range or unknown, lengths for unknown modalities.

    Example:
        >>> data = make_shared_private(
        ...     4, modalities={"eeg": 6, "gaze": 4}, lengths={"eeg": 50, "gaze": 20}
        ... )
        >>> data.dataset[0].inputs["eeg"].shape
        torch.Size([50, 6])
    """
    return SharedPrivateGenerator(seed=seed, **settings).draw(num_samples, seed=seed)


def _resolve_lengths(where: str, lengths: int | Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    if not isinstance(lengths, Mapping):
        lengths = dict.fromkeys(names, lengths)
    for name, length in lengths.items():
        check_known(where, "lengths", name, names)
        check_count(where, f"lengths[{name!r}]", length)
    missing = [name for name in names if name not in lengths]
    if missing:
        raise SettingError(f"{where}: lengths must give one length per modality, {missing[0]!r} has none.")
    return dict(lengths)


def _resolve_target(where: str, target: Sequence[str], names: tuple[str, ...], private: int) -> tuple[str, ...]:
    if isinstance(target, str) or not isinstance(target, Sequence) or not target:
        raise SettingError(f"{where}: target_factors must be a list such as ['shared', {names[0]!r}], got {target!r}.")
    for name in target:
        check_known(where, "target_factors", name, (_SHARED, *names))
    if private == 0 and tuple(target) != (_SHARED,):
        raise SettingError(f"{where}: target_factors={list(target)} need private_factors of at least 1, got 0.")
    return tuple(dict.fromkeys(target))


def _resolve_cues(where: str, cues: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    for name, correlation in cues.items():
        check_known(where, "cues", name, names)
        check_number(where, f"cues[{name!r}]", correlation, low=-1, high=1)
    return dict(cues)


def _draw_kept(num_samples: int, count: int, missing: float, generator: torch.Generator) -> Tensor:
    chance = torch.rand(num_samples, count, generator=generator)
    kept = chance >= missing
    # The modality that came closest to staying stays.
    kept[torch.arange(num_samples), chance.argmax(-1)] = True
    return kept

"""Sequences of which one knows what is shared between modalities and what is private to each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.checks import check_choice, check_count, check_number
from mmdisentangle._core.errors import SettingError
from mmdisentangle._core.modalities import check_known, modality_names
from mmdisentangle.data.batch import MultimodalSample
from mmdisentangle.data.dataset import TASKS, MultimodalDataset, Task

_TERMS = 3


@dataclass(frozen=True)
class SharedPrivateData:
    """A synthetic data set and the factors it was made from.

    Args:
        dataset: what a model sees.
        shared: modality name to one ``[T_mn, shared_factors]`` per sample: the shared process at the times of that
            modality.
        private: modality name to one ``[T_mn, private_factors]`` per sample.
        shared_mean: the shared process averaged over each clip; the target is a function of these numbers alone.
    """

    dataset: MultimodalDataset
    shared: dict[str, tuple[Float[Tensor, "_ S"], ...]]
    private: dict[str, tuple[Float[Tensor, "_ P"], ...]]
    shared_mean: Float[Tensor, "N S"]


def make_shared_private(
    num_samples: int = 256,
    *,
    modalities: Mapping[str, int] | None = None,
    lengths: int | Mapping[str, int] = 32,
    shared_factors: int = 2,
    private_factors: int = 2,
    noise: float = 0.1,
    smoothness: float = 1.0,
    ragged: bool = False,
    missing: float = 0.0,
    task: Task = "regression",
    num_outputs: int | None = None,
    seed: int = 0,
) -> SharedPrivateData:
    r"""Draw modalities that observe one shared process and a private process each.

    .. math:: x_m(t) = A_m\, s(t) + B_m\, p_m(t) + \sigma\, \epsilon_m(t)

    Every factor is a level plus three cosines of random amplitude and phase, so it is smooth in time and known at any
    time: modalities of different lengths see the same clip at different rates. All factors are independent, standard
    normal at every single time. Use it to check a claim of disentanglement: the shared codes should tell ``shared`` and
    not ``private``.

    Args:
        num_samples: number of clips.
        modalities: name to width; three modalities ``a``, ``b``, ``c`` of widths 8, 6 and 5 where None. A width of at
            least ``shared_factors + private_factors`` lets all factors be read linearly from that modality alone.
        lengths: frames of a whole clip, for all modalities or by name.
        shared_factors: number of factors that every modality sees.
        private_factors: number of factors that one modality alone sees.
        noise: standard deviation of the noise on every channel.
        smoothness: 1 lets a factor swing at most twice over a whole clip, 2 at most once, and so on.
        ragged: cut every clip after a share of its time drawn from 0.5 to 1, the same share for all its modalities.
        missing: chance that a modality is missing from a sample. One modality of every sample always stays.
        task: kind of target, from ``shared_mean``: linear sums of unit variance (regression), the quantile class of one
            such sum (classification), signs of such sums (multilabel).
        num_outputs: 1 regression output, 3 classes or 3 labels where None.
        seed: of the whole draw, through a ``torch.Generator``; global random state is neither used nor changed.

    Returns:
        The data set together with its factors.

    Raises:
        SettingError, ModalityError: settings out of range, lengths for unknown modalities.

    Example:
        >>> data = make_shared_private(4, modalities={"eeg": 6, "gaze": 4}, lengths={"eeg": 50, "gaze": 20})
        >>> data.dataset[0].inputs["eeg"].shape
        torch.Size([50, 6])
        >>> data.shared["gaze"][0].shape
        torch.Size([20, 2])
    """
    where = "make_shared_private"
    modalities = {"a": 8, "b": 6, "c": 5} if modalities is None else dict(modalities)
    names = modality_names(where, modalities)
    frames = _resolve_lengths(where, lengths, names)
    for label, count in (("num_samples", num_samples), ("shared_factors", shared_factors)):
        check_count(where, label, count)
    check_count(where, "private_factors", private_factors, low=0)
    check_count(where, "seed", seed, low=0)
    check_number(where, "noise", noise, low=0)
    check_number(where, "smoothness", smoothness, low=0, open_low=True)
    check_number(where, "missing", missing, low=0, high=1)
    check_choice(where, "task", task, TASKS)
    outputs = (1 if task == "regression" else 3) if num_outputs is None else num_outputs
    check_count(where, "num_outputs", outputs, low=2 if task == "classification" else 1)

    generator = torch.Generator().manual_seed(seed)
    span = 0.5 + 0.5 * torch.rand(num_samples, generator=generator) if ragged else torch.ones(num_samples)
    process = _Process(num_samples, shared_factors, smoothness, generator)
    shared_mean = process(span.unsqueeze(-1) * torch.linspace(0, 1, 64)).mean(1)
    kept = _draw_kept(num_samples, len(names), missing, generator)

    shared, private, observed = {}, {}, {}
    for name in names:
        width, length = modalities[name], frames[name]
        check_count(where, f"modalities[{name!r}]", width)
        times = torch.arange(length).expand(num_samples, -1) / length
        s = process(times)
        p = _Process(num_samples, private_factors, smoothness, generator)(times)
        factors = torch.cat([s, p], -1)
        mixing = torch.randn(factors.shape[-1], width, generator=generator) / math.sqrt(factors.shape[-1])
        x = factors @ mixing + noise * torch.randn(num_samples, length, width, generator=generator)
        ends = (span * length).round().long().clamp(1, length).tolist()
        shared[name], private[name], observed[name] = (
            tuple(rows[:end].clone() for rows, end in zip(values, ends, strict=True)) for values in (s, p, x)
        )
    target = _draw_target(shared_mean, task, outputs, generator)
    samples = [
        MultimodalSample(
            {name: observed[name][n] for m, name in enumerate(names) if bool(kept[n, m])}, target[n], str(n)
        )
        for n in range(num_samples)
    ]
    dataset = MultimodalDataset(samples, modalities=modalities, task=task, num_outputs=outputs, name="shared-private")
    return SharedPrivateData(dataset, shared, private, shared_mean)


class _Process:
    """Independent smooth factors of unit variance, a function of time in [0, 1]."""

    def __init__(self, num_samples: int, factors: int, smoothness: float, generator: torch.Generator) -> None:
        self.amplitude = torch.randn(num_samples, factors, 2 * _TERMS + 1, generator=generator)
        self.frequency = 2 * math.pi * torch.linspace(0.5, 2.0, _TERMS) / smoothness

    def __call__(self, times: Tensor) -> Tensor:
        phase = times.unsqueeze(-1) * self.frequency
        # Half of the variance is the level; a cosine and a sine of equal variance have a constant variance in time.
        basis = torch.cat(
            [torch.ones_like(phase[..., :1]), (phase.cos()) / math.sqrt(_TERMS), phase.sin() / math.sqrt(_TERMS)], -1
        )
        return torch.einsum("nfk,ntk->ntf", self.amplitude, basis) / math.sqrt(2)


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


def _draw_kept(num_samples: int, count: int, missing: float, generator: torch.Generator) -> Tensor:
    chance = torch.rand(num_samples, count, generator=generator)
    kept = chance >= missing
    # The modality that came closest to staying stays.
    kept[torch.arange(num_samples), chance.argmax(-1)] = True
    return kept


def _draw_target(shared_mean: Tensor, task: Task, outputs: int, generator: torch.Generator) -> Tensor:
    sums = 1 if task == "classification" else outputs
    weights = torch.randn(shared_mean.shape[-1], sums, generator=generator)
    values = shared_mean @ weights
    values = (
        values / values.std(0, correction=0).clamp(min=torch.finfo(values.dtype).tiny) if len(values) > 1 else values
    )
    if task == "multilabel":
        return (values > 0).float()
    if task == "classification":
        # Ranks cut into equal parts: balanced classes.
        return values.squeeze(-1).argsort().argsort() * outputs // len(values)
    return values.squeeze(-1) if outputs == 1 else values

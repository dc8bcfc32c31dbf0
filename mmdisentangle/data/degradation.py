"""Make samples worse on purpose: modalities that are missing, and noise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_number
from mmdisentangle._core.errors import DtypeError, SettingError
from mmdisentangle._core.modalities import check_known
from mmdisentangle.data.batch import MultimodalSample

# Changes a sample, drawing random numbers from the generator it is given and from nowhere else.
Transform: TypeAlias = Callable[[MultimodalSample, torch.Generator], MultimodalSample]

EVERY = "*"


@dataclass(frozen=True)
class DropModalities:
    """Let modalities of a sample go missing at random, each by itself; one of them always stays.

    Where all would go, the one that came nearest to staying stays, so the share of missing modalities is a little lower
    than the rates say. The draws of one generator state are nested: what is missing at some rate is missing at every
    higher one.

    Args:
        rates: modality name to the probability that it goes missing; ``"*"`` stands for all that are not named. A name
            that no sample has changes nothing: samples may lack modalities, so names are not checked here, but in the
            settings of a training they are.

    Raises:
        DtypeError: ``rates`` is no mapping.
        SettingError: a rate outside 0..1.

    Example:
        >>> sample = MultimodalSample({"text": torch.ones(3, 2), "audio": torch.ones(5, 1)})
        >>> sorted(DropModalities({"text": 1.0})(sample, torch.Generator()).inputs)
        ['audio']
        >>> len(DropModalities({"*": 1.0})(sample, torch.Generator()).inputs)
        1
    """

    rates: Mapping[str, float]

    def __post_init__(self) -> None:
        _check_named("DropModalities", "rates", self.rates)
        for name, rate in self.rates.items():
            check_number("DropModalities", f"rates[{name!r}]", rate, low=0, high=1)

    def __call__(self, sample: MultimodalSample, generator: torch.Generator) -> MultimodalSample:
        """Return the sample with what is left of it."""
        # A draw for every modality, whatever its rate, so that others do not depend on it.
        draws = {name: float(torch.rand((), generator=generator, dtype=torch.float64)) for name in sample.inputs}
        left = [name for name, draw in draws.items() if draw >= _of(self.rates, name)]
        here = [name for name in draws if len(sample.inputs[name])]
        if here and not any(name in here for name in left):
            left.append(max(here, key=lambda name: draws[name] - _of(self.rates, name)))
        return _with_inputs(sample, {name: x for name, x in sample.inputs.items() if name in left})


@dataclass(frozen=True)
class AddNoise:
    """Add white Gaussian noise to every frame.

    Args:
        deviations: modality name to the standard deviation, in the units of the inputs: those of one deviation of the
            training data where the sample is standardised. ``"*"`` stands for all that are not named. As in
            `DropModalities`, names are not checked here.

    Raises:
        DtypeError: ``deviations`` is no mapping.
        SettingError: a negative deviation.

    Example:
        >>> sample = MultimodalSample({"text": torch.ones(50, 8), "audio": torch.ones(500, 4)})
        >>> noisy = AddNoise({"audio": 0.5})(sample, torch.Generator().manual_seed(0))
        >>> {name: round(x.std().item(), 2) for name, x in noisy.inputs.items()}
        {'text': 0.0, 'audio': 0.51}
    """

    deviations: Mapping[str, float]

    def __post_init__(self) -> None:
        _check_named("AddNoise", "deviations", self.deviations)
        for name, deviation in self.deviations.items():
            check_number("AddNoise", f"deviations[{name!r}]", deviation, low=0)

    def __call__(self, sample: MultimodalSample, generator: torch.Generator) -> MultimodalSample:
        """Return the noisy sample."""
        noisy = {}
        for name, x in sample.inputs.items():
            draw = torch.randn(x.shape, generator=generator, dtype=torch.float32)
            deviation = _of(self.deviations, name)
            noisy[name] = x + deviation * draw.to(x.dtype) if deviation else x
        return _with_inputs(sample, noisy)


def compose(transforms: list[Transform]) -> Transform | None:
    """Return one transform that applies all of them in turn; None for none."""
    if len(transforms) < 2:
        return transforms[0] if transforms else None

    def composed(sample: MultimodalSample, generator: torch.Generator) -> MultimodalSample:
        for transform in transforms:
            sample = transform(sample, generator)
        return sample

    return composed


def check_modalities(where: str, argument: str, named: Mapping[str, float], known: Mapping[str, int]) -> None:
    """Require every name but ``"*"`` to be that of a modality."""
    for name in named:
        if name != EVERY:
            check_known(where, argument, name, tuple(known))
    if EVERY in named and all(name in named for name in known):
        raise SettingError(f"{where}: {argument} names every modality, so nothing is left for '*'.")


def _check_named(where: str, argument: str, values: object) -> None:
    if not isinstance(values, Mapping):
        raise DtypeError(f"{where}: {argument} must map modality names to numbers, got {values!r}; '*' stands for all.")


def _of(values: Mapping[str, float], name: str) -> float:
    return values.get(name, values.get(EVERY, 0.0))


def _with_inputs(sample: MultimodalSample, inputs: Mapping[str, Tensor]) -> MultimodalSample:
    return MultimodalSample(dict(inputs), sample.target, sample.id)

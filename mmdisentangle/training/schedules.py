"""Schedules: pure functions of the progress of training, from 0 at its start to 1 at its end.

A schedule keeps no counter, so an interrupted run that resumes is where it was. Made for the strength of gradient
reversal; the learning rate uses the same functions.
"""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from mmdisentangle._core.checks import check_number
from mmdisentangle._core.errors import DtypeError, SettingError, UnknownNameError, nearest_names

Schedule: TypeAlias = Callable[[float], float]


def constant(progress: float, *, strength: float = 1.0) -> float:
    """Return ``strength`` at any time.

    Example:
        >>> constant(0.3, strength=0.5)
        0.5
    """
    _check("constant", progress, strength=strength)
    return float(strength)


def linear(progress: float, *, start: float = 0.0, end: float = 1.0) -> float:
    r"""Go from ``start`` to ``end`` in a straight line: :math:`a + (b - a)\,p`.

    Example:
        >>> linear(0.25), linear(0.25, start=1.0, end=0.0)
        (0.25, 0.75)
    """
    _check("linear", progress, start=start, end=end)
    return (1 - progress) * start + progress * end


def dann(progress: float, *, gamma: float = 10.0, strength: float = 1.0) -> float:
    r"""Rise as in DANN: :math:`\lambda\,(2 / (1 + e^{-\gamma p}) - 1)`, from 0, steep at first, to almost ``strength``.

    A discriminator that has learned nothing yet sends noise; this schedule keeps it from the encoders for the first
    steps.

    Args:
        progress: from 0 to 1.
        gamma: steepness, positive.
        strength: what the schedule approaches.

    Example:
        >>> dann(0.0), round(dann(0.1), 4), round(dann(1.0), 4)
        (0.0, 0.4621, 0.9999)

    References:
        Ganin et al., "Domain-Adversarial Training of Neural Networks", 2016, arXiv:1505.07818.
    """
    _check("dann", progress, strength=strength)
    check_number("dann", "gamma", gamma, low=0, open_low=True)
    # tanh(x / 2) is the same number, and does not overflow for a large gamma.
    return strength * math.tanh(gamma * progress / 2)


def cosine(progress: float, *, start: float = 0.0, end: float = 1.0) -> float:
    r"""Go from ``start`` to ``end`` along half a cosine, level at both ends: :math:`a + (b - a)(1 - \cos \pi p) / 2`.

    Example:
        >>> cosine(0.0), cosine(0.5), cosine(1.0)
        (0.0, 0.5, 1.0)
    """
    _check("cosine", progress, start=start, end=end)
    share = math.sin(math.pi * progress / 2) ** 2
    return (1 - share) * start + share * end


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """Multiply a schedule by a number.

    Example:
        >>> scaled(linear, 0.5)(0.5)
        0.25
    """
    check_number("scaled", "factor", factor)
    return partial(_scale, schedule, factor)


def _scale(schedule: Schedule, factor: float, progress: float) -> float:
    return factor * schedule(progress)


def with_warmup(schedule: Schedule, fraction: float) -> Schedule:
    r"""Put a straight rise from 0 before a schedule.

    .. math:: p < w: \frac{p}{w}\, f(0), \qquad p \ge w: f\left(\frac{p - w}{1 - w}\right)

    A schedule that itself starts at 0 is held at 0 during the warm-up.

    Args:
        schedule: a function of progress.
        fraction: length ``w`` of the warm-up, 0 <= w < 1.

    Returns:
        A function of progress.

    Raises:
        SettingError: fraction outside its interval.

    Example:
        >>> ramp = with_warmup(constant, 0.2)
        >>> ramp(0.0), ramp(0.1), ramp(0.2), ramp(0.9)
        (0.0, 0.5, 1.0, 1.0)
    """
    if not callable(schedule):
        raise DtypeError(
            f"with_warmup: schedule must be a function of progress, got {schedule!r}; "
            "create_schedule makes one from a name."
        )
    check_number("with_warmup", "fraction", fraction, low=0, high=1, open_high=True)
    return partial(_warm, schedule, fraction)


def _warm(schedule: Schedule, fraction: float, progress: float) -> float:
    _check("with_warmup", progress)
    if progress < fraction:
        return progress / fraction * schedule(0.0)
    # The quotient may exceed 1 by a rounding error.
    return schedule(min((progress - fraction) / (1 - fraction), 1.0))


_SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "dann": dann,
    "linear": linear,
}


def list_schedules() -> list[str]:
    """Return the names that ``create_schedule`` knows.

    Example:
        >>> list_schedules()
        ['constant', 'cosine', 'dann', 'linear']
    """
    return sorted(_SCHEDULES)


def create_schedule(name: str, *, warmup: float = 0.0, **settings: float) -> Schedule:
    """Make a schedule from its name and settings.

    Args:
        name: see ``list_schedules``.
        warmup: fraction of the training for ``with_warmup``.
        **settings: keyword arguments of the schedule, for instance ``gamma`` of ``dann``.

    Returns:
        A function of progress.

    Raises:
        UnknownNameError: unknown name; the nearest are listed.
        SettingError: a setting that the schedule does not have, or outside its range.

    Example:
        >>> create_schedule("dann", gamma=5.0)(1.0) < create_schedule("dann", gamma=10.0)(1.0)
        True
    """
    if name not in _SCHEDULES:
        raise UnknownNameError(
            f"create_schedule: unknown schedule {name!r}{nearest_names(str(name), list_schedules())}"
        )
    known = [key for key in inspect.signature(_SCHEDULES[name]).parameters if key != "progress"]
    for key in settings:
        if key not in known:
            raise SettingError(f"create_schedule: {name!r} has no setting {key!r}{nearest_names(key, known)}")
    schedule: Schedule = partial(_SCHEDULES[name], **settings)
    # A wrong setting shall be found before training starts.
    schedule(0.0)
    return with_warmup(schedule, warmup) if warmup else schedule


def _check(where: str, progress: float, **numbers: Any) -> None:
    check_number(where, "progress", progress, low=0, high=1)
    for name, value in numbers.items():
        check_number(where, name, value)

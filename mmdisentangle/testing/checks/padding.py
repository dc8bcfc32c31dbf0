"""Padding is invisible: its content, its amount and its side change no value and no gradient."""

import math

from mmdisentangle.testing.case import Case, Mode
from mmdisentangle.testing.problem import Padding, Problem, draw
from mmdisentangle.testing.registry import check
from mmdisentangle.testing.runs import Run, assert_finite, assert_same_run, fresh_run

_FILLS = {"1000": 1e3, "NaN": math.nan, "inf": math.inf, "-inf": -math.inf}


def _masked(case: Case) -> bool:
    return case.has_masks


def _problem(case: Case) -> Problem:
    """Ragged sequences; where samples are masked as a whole, one that does not count."""
    rows = [leaf.owner for leaf in case.leaves if leaf.kind != "frames" and leaf.owner in case.masked_owners]
    return draw(case, batch=max(case.batch, 4), absent=[(1, owner) for owner in rows])


def _assert_invisible(case: Case, mode: Mode, padding: Padding, what: str) -> None:
    problem = _problem(case)
    expected = fresh_run(case, problem, mode=mode)
    actual = fresh_run(case, problem, padding, mode=mode)
    assert_finite(actual, what)
    assert_same_run(actual, expected, what)
    _assert_padding_is_zero(actual, what)


def _assert_padding_is_zero(run: Run, what: str) -> None:
    for label, values in (("", run.padded_outputs), ("gradient of ", run.padded_gradients)):
        for name, value in values.items():
            if (value != 0).any():
                raise AssertionError(f"{what}: {label}{name} is not 0 at padding")


@check(_masked)
def padding_content(case: Case) -> None:
    """Padding may hold anything, NaN and inf included: values and gradients stay, and are 0 at padding."""
    for mode in case.compared_modes:
        for name, fill in _FILLS.items():
            _assert_invisible(case, mode, Padding(fill=fill), f"padding filled with {name}, {mode} mode")


@check(_masked)
def padding_length(case: Case) -> None:
    """Lengthening the padding changes neither values nor gradients."""
    for mode in case.compared_modes:
        for extra in (1, 4):
            padding = Padding(extra=extra, fill=math.nan)
            _assert_invisible(case, mode, padding, f"{extra} more frames (rows) of padding, {mode} mode")


@check(_masked)
def padding_side(case: Case) -> None:
    """Padding on the left gives the same as padding on the right: positions count real frames."""
    for mode in case.compared_modes:
        padding = Padding("left", extra=2, fill=math.nan)
        _assert_invisible(case, mode, padding, f"padding on the left, {mode} mode")


@check(_masked)
def mask_omitted(case: Case) -> None:
    """Leaving the mask out is the same as a mask that is all True."""
    problem = draw(case, ragged=False)
    for mode in case.compared_modes:
        expected = fresh_run(case, problem, mode=mode)
        actual = fresh_run(case, problem, mode=mode, pass_masks=False)
        assert_same_run(actual, expected, f"no mask given, {mode} mode")

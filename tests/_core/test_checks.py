import math

import pytest
import torch

from mmdisentangle._core import checks
from mmdisentangle.errors import DtypeError, SettingError, ShapeError
from tests.oracles import expect

X = torch.zeros(2, 3, 4)


def test_what_fits_passes():
    checks.check_tensor("f", "x", X)
    checks.check_float("f", "x", X.half(), "B T D")
    checks.check_axes("f", "x", X, "B T D")
    checks.check_width("f", "x", X, 4)
    checks.check_same_shape("f", "x", X, "y", X + 1)
    checks.check_mask("f", "mask", X[..., 0].bool(), (2, 3))
    checks.check_choice("f", "mode", "a", ("a", "b"))
    checks.check_number("f", "rate", 0, low=0)
    checks.check_number("f", "rate", 1.0, low=0, high=1)
    checks.check_count("f", "n", 1)
    checks.check_count("f", "n", 0, low=0)


@pytest.mark.parametrize(
    ("exception", "words", "call"),
    [
        (DtypeError, ("f: x", "torch.Tensor", "list", "as_tensor"), lambda: checks.check_tensor("f", "x", [1.0])),
        (DtypeError, ("floating", "torch.int64", "x.float()"), lambda: checks.check_float("f", "x", X.long(), "B T D")),
        (ShapeError, ("f: x", "[B, D]", "[2, 3, 4]"), lambda: checks.check_float("f", "x", X, "B D")),
        (ShapeError, ("f: x", "5", "got 4", "[2, 3, 4]"), lambda: checks.check_width("f", "x", X, 5)),
        (
            ShapeError,
            ("f: x and y", "[2, 3, 4]", "[3, 4]"),
            lambda: checks.check_same_shape("f", "x", X, "y", X[0]),
        ),
        (DtypeError, ("mask", "boolean", "True = real", "float32"), lambda: checks.check_mask("f", "mask", X, (2, 3))),
        (DtypeError, ("mask", "torch.Tensor", "NoneType"), lambda: checks.check_mask("f", "mask", None, (2, 3))),
        (
            ShapeError,
            ("mask", "[2, 4]", "[2, 3, 4]"),
            lambda: checks.check_mask("f", "mask", X.bool(), (2, 4)),
        ),
        (
            SettingError,
            ("f: mode", "'mean'", "'meen'", "did you mean"),
            lambda: checks.check_choice("f", "mode", "meen", ("mean", "sum")),
        ),
        (SettingError, ("f: mode", "['mean']"), lambda: checks.check_choice("f", "mode", ["mean"], ("mean", "sum"))),
        (SettingError, ("f: n", "integer of at least 1", "got 0"), lambda: checks.check_count("f", "n", 0)),
        (SettingError, ("f: n", "at least 2", "got True"), lambda: checks.check_count("f", "n", True, low=2)),
        (SettingError, ("f: n", "got 2.0"), lambda: checks.check_count("f", "n", 2.0)),
    ],
)
@pytest.mark.bad_input
def test_what_does_not_fit_is_said(exception, words, call):
    with expect.error(exception, *words):
        call()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None, 1j])
@pytest.mark.bad_input
def test_numbers_must_be_finite(value):
    with expect.error(SettingError, "f: rate", "finite number", repr(value)):
        checks.check_number("f", "rate", value)


@pytest.mark.parametrize(
    ("value", "options", "interval"),
    [
        (-0.1, {"low": 0}, "0 <= rate,"),
        (0, {"low": 0, "open_low": True}, "0 < rate,"),
        (1, {"high": 1, "open_high": True}, "rate < 1,"),
        (1.5, {"low": 0, "high": 1}, "0 <= rate <= 1,"),
    ],
)
@pytest.mark.bad_input
def test_numbers_must_lie_in_the_interval(value, options, interval):
    with expect.error(SettingError, "f: rate", interval, f"got {value}"):
        checks.check_number("f", "rate", value, **options)

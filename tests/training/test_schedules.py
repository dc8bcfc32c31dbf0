import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.errors import DtypeError, SettingError, UnknownNameError
from mmdisentangle.training.schedules import (
    constant,
    cosine,
    create_schedule,
    dann,
    linear,
    list_schedules,
    with_warmup,
)

progress = st.floats(0, 1)


@given(progress, st.floats(-2, 2), st.floats(-2, 2))
def test_closed_forms(p, start, end):
    assert constant(p, strength=start) == start
    assert linear(p, start=start, end=end) == pytest.approx(start + (end - start) * p, abs=1e-12)
    expected = start + (end - start) * (1 - math.cos(math.pi * p)) / 2
    assert cosine(p, start=start, end=end) == pytest.approx(expected, abs=1e-12)


@given(progress, st.floats(0.1, 50))
def test_dann_is_the_published_formula(p, gamma):
    assert dann(p, gamma=gamma) == pytest.approx(2 / (1 + math.exp(-gamma * p)) - 1, abs=1e-12)


def test_ends():
    assert linear(0.0) == cosine(0.0) == dann(0.0) == 0.0
    assert linear(1.0, start=0.3, end=0.7) == cosine(1.0, start=0.3, end=0.7) == 0.7
    assert dann(1.0, gamma=1e6) == 1.0


@pytest.mark.parametrize("name", ["linear", "cosine", "dann"])
@given(first=progress, second=progress)
def test_rising_schedules_rise_within_zero_and_one(name, first, second):
    schedule = create_schedule(name)
    low, high = sorted((first, second))
    assert 0 <= schedule(low) <= schedule(high) <= 1


@given(progress, st.floats(0.01, 0.99))
def test_warmup_is_a_ramp_and_then_the_whole_schedule(p, fraction):
    warmed = with_warmup(lambda q: 2.0 - q, fraction)
    expected = 2.0 * p / fraction if p < fraction else 2.0 - (p - fraction) / (1 - fraction)
    assert warmed(p) == pytest.approx(expected)
    assert with_warmup(dann, fraction)(min(p, fraction * 0.999)) == 0.0


def test_warmup_of_zero_changes_nothing():
    assert [with_warmup(dann, 0.0)(p / 10) for p in range(11)] == [dann(p / 10) for p in range(11)]


def test_registry():
    assert list_schedules() == ["constant", "cosine", "dann", "linear"]
    assert create_schedule("linear", start=1.0, end=0.0)(0.25) == 0.75
    assert create_schedule("constant", warmup=0.5)(0.25) == 0.5


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: create_schedule("dan"), UnknownNameError, "unknown schedule 'dan'; did you mean 'dann'"),
        (lambda: create_schedule("dann", gama=3), SettingError, "'dann' has no setting 'gama'; did you mean 'gamma'"),
        (lambda: create_schedule("dann", gamma=0.0), SettingError, "gamma must be a finite number with 0 < gamma"),
        (lambda: create_schedule("linear", start=float("nan")), SettingError, "start must be a finite number"),
        (lambda: create_schedule("linear", warmup=1.0), SettingError, "fraction must be"),
        (lambda: linear(1.5), SettingError, "progress must be a finite number with 0 <= progress <= 1, got 1.5"),
        (lambda: with_warmup(dann, 0.5)(-0.1), SettingError, "progress must be"),
        (lambda: with_warmup("dann", 0.5), DtypeError, "schedule must be a function of progress, got 'dann'"),
    ],
)
def test_wrong_settings_get_one_clear_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_schedules_and_settings_do_not_import_lightning():
    code = (
        "import sys, mmdisentangle.training as t; t.create_schedule('dann')(0.5); t.load_config()\n"
        "bad = {'lightning', 'torchmetrics', 'matplotlib', 'typer'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

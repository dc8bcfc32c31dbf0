"""How checks are chosen, exempted and reported."""

import subprocess
import sys

import pytest

from mmdisentangle.errors import UnknownNameError
from mmdisentangle.testing import CHECKS, Case, Frames, check_contract, contract_parameters
from tests.testing import broken


def _case(layer, **fields):
    return Case(name=layer.__name__, build=layer, arguments=(Frames("x", 4, mask="mask"),), **fields)


def test_all_failures_are_listed_in_one_error():
    with pytest.raises(AssertionError) as caught:
        check_contract(_case(broken.IgnoresMask), only=["padding_content", "padding_length", "mask_omitted"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "IgnoresMask breaks the contract:"
    assert [line.partition(":")[0] for line in lines[1:]] == ["padding_content", "padding_length"]
    assert isinstance(caught.value.__cause__, AssertionError)


def test_errors_of_the_layer_are_named():
    with pytest.raises(AssertionError, match=r"no_frames: IndexError: amax\(\): "):
        check_contract(_case(broken.NeedsFrames), only=["no_frames"])


def test_skipped_checks_do_not_run():
    check_contract(_case(broken.IgnoresMask), only=["padding_content", "mask_omitted"], skip=["padding_content"])


def test_exempt_checks_may_fail():
    check_contract(_case(broken.IgnoresMask, exempt={"padding_content": "ignores it"}), only=["padding_content"])


def test_exemption_from_a_check_that_holds_fails():
    case = _case(broken.Sound, exempt={"padding_content": "a rotten reason"})
    with pytest.raises(
        AssertionError, match=r"padding_content: listed in exempt \(a rotten reason\), but the check holds"
    ):
        check_contract(case, only=["padding_content"])


def test_exemption_from_a_check_that_does_not_apply_fails():
    case = _case(broken.Sound, exempt={"gather": "a rotten reason"})
    with pytest.raises(
        AssertionError, match=r"gather: listed in exempt \(a rotten reason\), but the check does not apply"
    ):
        check_contract(case, only=["gather"])


@pytest.mark.parametrize("argument", ["only", "skip"])
def test_unknown_check(argument):
    with pytest.raises(
        UnknownNameError, match=rf"{argument} names the check 'padding_sides'; did you mean 'padding_side'"
    ):
        check_contract(_case(broken.Sound), **{argument: ["padding_sides"]})


def test_unknown_exemption():
    with pytest.raises(UnknownNameError, match="exempt of Sound names the check 'pading_side'"):
        check_contract(_case(broken.Sound, exempt={"pading_side": "misspelt"}), only=[])


def test_masked_by_must_name_an_argument_or_a_boolean_output():
    with pytest.raises(AssertionError, match="masked_by sends output 'output' to 'y', which is neither"):
        check_contract(_case(broken.LeavesPadding, masked_by={"output": "y"}), only=["padding_content"])


def test_parameters_hold_what_applies_and_what_is_exempt():
    case = _case(broken.Sound, exempt={"gather": "does not apply, and is listed all the same"})
    found = {
        parameter.values[1]: parameter
        for parameter in contract_parameters([case], marks={"compiles": pytest.mark.slow})
    }
    assert set(CHECKS) - set(found) == {"missing_modality", "modality_order", "modality_names"}
    assert found["vmap"].id == "Sound-vmap"
    assert not found["vmap"].marks
    assert {name for name, parameter in found.items() if parameter.marks} == {"compiles", "exports"}


def test_variants_are_told_apart():
    assert [str(_case(broken.Sound, variant=variant)) for variant in ("", "wide")] == ["Sound", "Sound[wide]"]


def test_every_check_says_what_must_hold():
    assert all(check.summary.endswith(".") for check in CHECKS.values())


def test_importing_the_suite_needs_no_test_library():
    code = "import sys, mmdisentangle.testing; print(*{'pytest', 'hypothesis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

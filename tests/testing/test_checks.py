"""Every check of the suite bites: a layer with one defect is caught by the check that is meant for it."""

import dataclasses

import pytest
import torch

from mmdisentangle.testing import CHECKS, Case, Frames, Samples, Streams, check_contract
from tests.testing import broken

SEQUENCE = (Frames("x", 4, mask="mask"),)
UNMASKED = (Frames("x", 4),)
STREAMS = (Streams("inputs", {"a": 4, "b": 4}, masks="masks"),)


def _case(layer, arguments=SEQUENCE, **fields):
    return Case(name=layer.__name__, build=layer, arguments=arguments, **fields)


SOUND = _case(broken.Sound)
REVERSED = {"arguments": UNMASKED, "surrogate": lambda layer, x: -x}
GATHERED = {"arguments": (Samples("x", 4),), "exempt": {"batch_independence": "a batch statistic"}}

# check -> cases it must catch
BROKEN = [
    ("padding_content", _case(broken.IgnoresMask)),
    ("padding_content", _case(broken.MultipliesByMask)),
    ("padding_content", _case(broken.LeavesPadding, masked_by={"output": "x"})),
    ("padding_length", _case(broken.DividesByLength)),
    ("padding_length", _case(broken.NormalisesPadding)),
    ("padding_side", _case(broken.CountsColumns)),
    ("mask_omitted", _case(broken.DefaultsToNoFrame)),
    ("batch_of_one", _case(broken.NormalisesBatch)),
    ("batch_of_one", _case(broken.Squeezes)),
    ("empty_batch", _case(broken.Disconnects)),
    ("empty_batch", _case(broken.ReturnsScalar)),
    ("single_frame", _case(broken.Deviation, UNMASKED)),
    ("single_frame", _case(broken.ChangesDtype)),
    ("no_frames", _case(broken.NeedsFrames)),
    ("no_frames", _case(broken.Disconnects)),
    ("empty_sample", _case(broken.DividesByZero)),
    ("missing_modality", _case(broken.NeedsEveryModality, STREAMS)),
    ("identical_inputs", _case(broken.BareRoot)),
    ("constant_inputs", _case(broken.BareRoot)),
    ("derivative", _case(broken.WrongDerivative)),
    ("derivative", _case(broken.UnreversedReversal, **REVERSED)),
    ("parameters_learn", _case(broken.NeverUses)),
    ("parameters_learn", _case(broken.StepGate)),
    ("half_precision", _case(broken.HalfMade)),
    ("half_precision", _case(broken.Cancels)),
    ("half_precision_range", _case(broken.Overflows)),
    ("autocast", _case(broken.Cancels)),
    ("func_grad", _case(broken.OldReversal, **REVERSED)),
    ("vmap", _case(broken.ReadsValues)),
    ("deterministic", _case(broken.Noisy)),
    ("state_dict_round_trip", _case(broken.HidesParameters)),
    ("copies", _case(broken.HoldsLambda)),
    ("inputs_unmodified", _case(broken.WritesIntoInput)),
    ("inputs_unmodified", _case(broken.CountsCalls)),
    ("meta_device", _case(broken.StaysOnCpu)),
    ("meta_device", _case(broken.ReadsValues)),
    ("modality_order", _case(broken.FollowsDict, STREAMS)),
    ("modality_names", _case(broken.WantsNames, STREAMS)),
    ("batch_independence", _case(broken.ComparesWithMates)),
    ("compiles", _case(broken.GuardsLength)),
    ("compiles", _case(broken.BranchesOnMask)),
    ("exports", _case(broken.OldReversal, **REVERSED)),
    ("exports", _case(broken.GuardsLength)),
    ("gather", _case(broken.LocalBatchMean, gather=broken.LocalBatchMean, **GATHERED)),
    ("gather", _case(broken.GathersWithoutGradient, gather=broken.GathersWithoutGradient, **GATHERED)),
]


def _pairs():
    return [
        pytest.param(check, case, id=f"{check}-{case}", marks=[pytest.mark.compile] if CHECKS[check].compiles else [])
        for check, case in BROKEN
    ]


@pytest.mark.parametrize(("check", "case"), _pairs())
def test_defect_is_caught(check, case):
    with pytest.raises(AssertionError, match=rf"^{case.name} breaks the contract:\n{check}: "):
        check_contract(case, only=[check])


def test_every_check_is_shown_to_bite():
    assert {check for check, _ in BROKEN} == set(CHECKS)


def test_a_sound_layer_passes_what_is_quick():
    check_contract(SOUND, skip=["compiles", "exports"])


@pytest.mark.compile
def test_a_sound_layer_compiles_and_exports():
    check_contract(SOUND, only=["compiles", "exports"])


def test_a_sound_layer_without_masks_passes():
    check_contract(dataclasses.replace(SOUND, arguments=UNMASKED), skip=["compiles", "exports"])


def test_checks_leave_the_random_state_alone():
    before = torch.random.get_rng_state()
    check_contract(SOUND, only=["padding_content", "parameters_learn", "deterministic", "batch_of_one"])
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_guide_lists_every_check(repository):
    guide = (repository / "docs" / "guides" / "contract.md").read_text(encoding="utf-8")
    for name, check in CHECKS.items():
        row = f"| `{name}` | {check.summary.replace('``', '`')} |"
        assert row in guide, f"docs/guides/contract.md lacks the row {row}"

"""Cases of the losses that make paired codes agree."""

from functools import partial

from mmdisentangle import functional
from mmdisentangle.nn import BarlowTwinsLoss, CycleReconstructionLoss, SimilarityPreservingLoss, VICRegLoss
from mmdisentangle.testing import Case, Frames, Samples, Streams
from tests.contract.cases_functional import BATCH_STATISTIC

WIDTHS = {"text": 4, "audio": 4, "vision": 4}


def _paired(name, function, loss, variant="", widths=(4, 4), **settings):
    """A function and its module on the same arguments."""
    arguments = (Samples("x", widths[0], mask="mask"), Samples("y", widths[1], like="x"))
    common = {
        "variant": variant,
        "arguments": arguments,
        "batch": 6,
        "exempt": {"batch_independence": BATCH_STATISTIC},
    }
    return (
        Case(name=f"functional.{name}", build=lambda: partial(function, **settings), **common),
        Case(
            name=f"nn.{loss.__name__}",
            build=lambda: loss(**settings),
            gather=lambda: loss(gather=True, **settings),
            **common,
        ),
    )


def _constant_codes(loss, codes, recovered, masks=None):
    return loss({name: x.detach() for name, x in codes.items()}, recovered, masks)


def _cycle(variant, pooled=False, **settings):
    return Case(
        name="nn.CycleReconstructionLoss",
        variant=variant,
        build=lambda widths: CycleReconstructionLoss(**settings),
        gather=lambda widths: CycleReconstructionLoss(gather=True, **settings),
        arguments=(
            Streams("codes", WIDTHS, masks="masks", pooled=pooled),
            Streams("recovered", WIDTHS, like="codes", pooled=pooled),
        ),
        exempt={"batch_independence": BATCH_STATISTIC} if settings.get("relative") else {},
        surrogate=_constant_codes if settings.get("detach_code") else None,
    )


CASES = [
    *_paired("barlow_twins", functional.barlow_twins, BarlowTwinsLoss),
    *_paired("vicreg", functional.vicreg, VICRegLoss),
    *_paired("similarity_preserving", functional.similarity_preserving, SimilarityPreservingLoss, widths=(4, 3)),
    *_paired(
        "similarity_preserving",
        functional.similarity_preserving,
        SimilarityPreservingLoss,
        variant="published",
        published=True,
    ),
    Case(
        name="functional.cycle_reconstruction",
        build=lambda: functional.cycle_reconstruction,
        arguments=(Frames("code", 4, mask="mask"), Frames("recovered", 4, like="code")),
    ),
    Case(
        name="functional.cycle_reconstruction",
        variant="relative",
        build=lambda: partial(functional.cycle_reconstruction, relative=True),
        arguments=(Samples("code", 4, mask="mask"), Samples("recovered", 4, like="code")),
        exempt={"batch_independence": BATCH_STATISTIC},
    ),
    _cycle("frames"),
    _cycle("relative", relative=True),
    _cycle("pooled", pooled=True, detach_code=True),
]

NO_CASE = {"functional.VICReg": "the result of vicreg"}

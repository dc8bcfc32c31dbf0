"""One meaning of ``reduction`` for every loss: over valid terms; without any, a zero with a gradient."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_choice

Reduction: TypeAlias = Literal["none", "mean", "sum"]
REDUCTIONS = ("none", "mean", "sum")


def check_reduction(where: str, reduction: str) -> None:
    """Require ``"none"``, ``"mean"`` or ``"sum"``."""
    check_choice(where, "reduction", reduction, REDUCTIONS)


def reduce_terms(terms: Tensor, valid: Tensor | None, reduction: str) -> Tensor:
    """Reduce ``terms``, which are already zero where ``valid`` is False.

    Args:
        terms: values of any shape.
        valid: boolean, same shape; None means that all terms count.
        reduction: ``"none"`` returns the terms, ``"sum"`` their sum, ``"mean"`` the sum over the number of valid terms.
    """
    if reduction == "none":
        return terms
    total = terms.sum()
    if reduction == "sum":
        return total
    if valid is None:
        return total / max(terms.numel(), 1)
    return total / valid.sum().clamp(min=1).to(torch.promote_types(terms.dtype, torch.float32))

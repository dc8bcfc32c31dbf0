"""The registry of checks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mmdisentangle.testing.case import Case

CheckFunction: TypeAlias = Callable[[Case], None]


@dataclass(frozen=True)
class Check:
    """One named demand of the contract.

    Args:
        name: what ``Case.exempt``, ``only`` and ``skip`` call it.
        function: raises where the case does not meet the demand.
        applies: whether the demand means anything for a case.
        compiles: whether it uses ``torch.compile`` or ``torch.export``, and so takes seconds.

    Example:
        >>> from mmdisentangle.testing import CHECKS
        >>> check = CHECKS["padding_length"]
        >>> check.summary, check.compiles
        ('Lengthening the padding changes neither values nor gradients.', False)
    """

    name: str
    function: CheckFunction
    applies: Callable[[Case], bool]
    compiles: bool = False

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").partition("\n")[0]


CHECKS: dict[str, Check] = {}


def always(case: Case) -> bool:
    """Applies to every case."""
    return True


def check(
    applies: Callable[[Case], bool] = always, *, compiles: bool = False
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as the check of its name."""

    def register(function: CheckFunction) -> CheckFunction:
        CHECKS[function.__name__] = Check(function.__name__, function, applies, compiles)
        return function

    return register

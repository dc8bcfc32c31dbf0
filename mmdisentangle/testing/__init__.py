"""The contract as a suite: what every public layer, loss and model of the library passes, for your own layers too.

Describe a callable by a `Case`, and run `check_contract`, or one pytest test per check with `contract_parameters`.

Example:
    >>> from mmdisentangle.testing import CHECKS
    >>> list(CHECKS)[:4]
    ['padding_content', 'padding_length', 'padding_side', 'mask_omitted']
    >>> CHECKS["derivative"].summary
    'The gradient is the derivative in float64 (central differences), or that of the
     documented surrogate.'
"""

from mmdisentangle.testing.arguments import Frames, Labels, Samples, Streams, Weight
from mmdisentangle.testing.case import Case
from mmdisentangle.testing.contract import check_contract, contract_parameters
from mmdisentangle.testing.registry import CHECKS, Check

__all__ = [
    "CHECKS",
    "Case",
    "Check",
    "Frames",
    "Labels",
    "Samples",
    "Streams",
    "Weight",
    "check_contract",
    "contract_parameters",
]

"""Running the checks on cases."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mmdisentangle._core.errors import UnknownNameError, nearest_names
from mmdisentangle.testing import checks as _checks  # noqa: F401  (fills the registry)
from mmdisentangle.testing.case import Case
from mmdisentangle.testing.registry import CHECKS


def check_contract(case: Case, *, only: Collection[str] | None = None, skip: Collection[str] | None = None) -> None:
    """Hold one case to the contract.

    Args:
        case: what to check.
        only: names of the checks to run; all that apply where None.
        skip: names of checks not to run this time. Unlike ``Case.exempt`` it says nothing about the case.

    Raises:
        AssertionError: one line for every check that failed.
        UnknownNameError: a name is not in ``CHECKS``.

    Example:
        >>> import torch
        >>> from mmdisentangle.testing import Case, Frames
        >>> case = Case(name="last_frame", build=lambda: lambda x: x[:, -1], arguments=(Frames("x", 3),))
        >>> check_contract(case, only=["no_frames"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        AssertionError: last_frame breaks the contract:
        no_frames: IndexError: index -1 is out of bounds...
    """
    _check_names("only", only or ())
    _check_names("skip", skip or ())
    _check_names(f"exempt of {case}", case.exempt)
    failures: list[str] = []
    causes: list[Exception] = []
    for name in CHECKS:
        if (only is not None and name not in only) or (skip is not None and name in skip):
            continue
        try:
            _run(case, name)
        except Exception as error:
            failures.append(f"{name}: {_sentence(error)}")
            causes.append(error)
    if failures:
        raise AssertionError("\n".join([f"{case} breaks the contract:", *failures])) from causes[0]


def contract_parameters(cases: Iterable[Case], *, marks: Mapping[str, Any] | None = None) -> list[Any]:
    """List (case, name of a check) for ``pytest.mark.parametrize``: every case with every check that applies to it.

    Args:
        cases: what to check. Exempt checks are listed, too: an exemption is checked.
        marks: pytest marks for the checks of a name; the key ``"compiles"`` stands for all that compile or export.

    Returns:
        One ``pytest.param`` for each pair.

    Example:
        >>> import pytest
        >>> from mmdisentangle.functional import masked_mean
        >>> from mmdisentangle.testing import Case, Frames, check_contract
        >>> case = Case(
        ...     name="masked_mean",
        ...     build=lambda: masked_mean,
        ...     arguments=(Frames("x", 3, mask="mask"),),
        ... )
        >>> parameters = contract_parameters([case], marks={"compiles": pytest.mark.slow})
        >>> @pytest.mark.parametrize(("case", "check"), parameters)
        ... def test_contract(case, check):
        ...     check_contract(case, only=[check])
        >>> [parameter.id for parameter in parameters][:2]
        ['masked_mean-padding_content', 'masked_mean-padding_length']
    """
    import pytest

    marks = marks or {}
    parameters = []
    for case in cases:
        for name, check in CHECKS.items():
            if not check.applies(case) and name not in case.exempt:
                continue
            key = "compiles" if check.compiles and name not in marks else name
            parameters.append(pytest.param(case, name, id=f"{case}-{name}", marks=[marks[key]] if key in marks else []))
    return parameters


def _run(case: Case, name: str) -> None:
    """Run one check, and hold its exemption to its word."""
    check, reason = CHECKS[name], case.exempt.get(name)
    if not check.applies(case):
        if reason is not None:
            raise AssertionError(f"listed in exempt ({reason}), but the check does not apply to this case")
        return
    if reason is None:
        check.function(case)
        return
    try:
        check.function(case)
    except Exception:
        return
    raise AssertionError(f"listed in exempt ({reason}), but the check holds: remove the exemption")


def _check_names(where: str, names: Collection[str]) -> None:
    for name in names:
        if name not in CHECKS:
            raise UnknownNameError(f"check_contract: {where} names the check {name!r}{nearest_names(name, CHECKS)}")


def _sentence(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return str(error)
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"

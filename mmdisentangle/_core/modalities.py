"""Mappings of modalities: their order is fixed at construction, a caller's dict order never matters."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmdisentangle._core.checks import check_count, check_float, check_mask, check_tensor, check_width
from mmdisentangle._core.errors import DtypeError, ModalityError, ShapeError, nearest_names


def modality_names(where: str, modalities: Sequence[str] | Mapping[str, object], least: int = 1) -> tuple[str, ...]:
    """Return the names as a tuple after checking that they are distinct, non-empty strings."""
    if isinstance(modalities, str):
        raise DtypeError(f"{where}: modalities must be a sequence of names, got the single string {modalities!r}.")
    if isinstance(modalities, (set, frozenset)):
        # The order of a set of strings changes from one process to the next, and with it what a weight belongs to.
        raise DtypeError(f"{where}: modalities must have an order, got a set; give a list, a tuple or a mapping.")
    names = tuple(modalities)
    for name in names:
        if not isinstance(name, str) or not name:
            raise DtypeError(f"{where}: every modality name must be a non-empty string, got {name!r}.")
    if len(set(names)) != len(names):
        raise ModalityError(f"{where}: modalities must be distinct, got {list(names)}.")
    if len(names) < least:
        raise ModalityError(f"{where}: at least {least} modalities are needed, got {list(names)}.")
    return names


def modality_widths(where: str, modalities: Mapping[str, int], least: int = 1) -> dict[str, int]:
    """Return the width of every modality after checking names and widths."""
    if not isinstance(modalities, Mapping):
        raise DtypeError(f"{where}: modalities must map names to widths, as {{'text': 768}}, got {modalities!r}.")
    names = modality_names(where, modalities, least)
    for name in names:
        check_count(where, f"modalities[{name!r}]", modalities[name])
    return {name: modalities[name] for name in names}


def check_known(where: str, argument: str, name: str, modalities: Sequence[str]) -> None:
    """Require ``name`` to be one of ``modalities``."""
    if name not in modalities:
        raise ModalityError(f"{where}: {argument} names the modality {name!r}{nearest_names(name, modalities)}")


def check_mapping(where: str, argument: str, values: object) -> None:
    """Require a mapping, from modality name to tensor."""
    if not isinstance(values, Mapping):
        raise DtypeError(
            f"{where}: {argument} must be a mapping from modality name to tensor, got {type(values).__name__}."
        )


def in_order(where: str, argument: str, values: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """Return ``values`` in the order of ``modalities``; every modality must be there, and nothing else."""
    check_mapping(where, argument, values)
    for name in values:
        check_known(where, argument, name, modalities)
    missing = [name for name in modalities if name not in values]
    if missing:
        raise ModalityError(
            f"{where}: {argument} lacks {', '.join(map(repr, missing))}; expected {list(modalities)}, "
            f"got {list(values)}."
        )
    return {name: values[name] for name in modalities}


def resolve_masks(
    where: str,
    inputs: Mapping[str, Tensor],
    masks: Mapping[str, Tensor] | None,
    present: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return a boolean mask ``[B, T_m]`` for every modality that ``masks`` or ``present`` names.

    A modality without an entry is all real, so that whoever passes no mask pays for none; ``present[m]`` False makes
    the whole row padding.
    """
    modalities = tuple(inputs)
    for argument, given in (("masks", masks), ("present", present)):
        if given is not None:
            check_mapping(where, argument, given)
        for name in given or ():
            check_known(where, argument, name, modalities)
    resolved: dict[str, Tensor] = {}
    for name, x in inputs.items():
        mask = None if masks is None else masks.get(name)
        if mask is not None:
            check_mask(where, f"masks[{name!r}]", mask, x.shape[:2])
        here = None if present is None else present.get(name)
        if here is not None:
            check_mask(where, f"present[{name!r}]", here, x.shape[:1])
            mask = here.unsqueeze(-1).expand(x.shape[:2]) if mask is None else mask & here.unsqueeze(-1)
        if mask is None and x.shape[1] == 0:
            # An empty sequence is a missing modality, whoever left out the mask.
            mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        if mask is not None:
            resolved[name] = mask
    return resolved


def check_sequences(
    where: str, argument: str, sequences: Mapping[str, Tensor], widths: Mapping[str, int] | int | None = None
) -> None:
    """Require ``[B, T_m, d_m]`` floating tensors with one batch size, and given widths where they are known."""
    batch = None
    for name, x in sequences.items():
        label = f"{argument}[{name!r}]"
        check_tensor(where, label, x)
        check_float(where, label, x, "B T D")
        if widths is not None:
            check_width(where, label, x, widths if isinstance(widths, int) else widths[name])
        if batch is None:
            first, batch = label, x.shape[0]
        elif x.shape[0] != batch:
            raise ShapeError(
                f"{where}: all modalities must have the same batch size, got {batch} for {first} and "
                f"{x.shape[0]} for {label}."
            )

"""What every model of the zoo does with its inputs: order, checks, masks, missing modalities."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmdisentangle._core.errors import ModalityError
from mmdisentangle._core.modalities import check_known, check_mapping, check_sequences, resolve_masks


def resolve_inputs(
    where: str,
    widths: Mapping[str, int],
    inputs: Mapping[str, Tensor],
    masks: Mapping[str, Tensor] | None,
    present: Mapping[str, Tensor] | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return inputs of every modality in the order of ``widths``, and masks of those that are not all real.

    A modality that is absent from ``inputs`` and named in ``present`` becomes an empty sequence.
    """
    check_mapping(where, "inputs", inputs)
    for argument, given in (("inputs", inputs), ("masks", masks), ("present", present)):
        if given is None:
            continue
        check_mapping(where, argument, given)
        for name in given:
            check_known(where, argument, name, tuple(widths))
    given_inputs = {name: inputs[name] for name in widths if name in inputs}
    if not given_inputs:
        raise ModalityError(f"{where}: inputs is empty; expected {list(widths)}.")
    check_sequences(where, "inputs", given_inputs, widths)
    example = next(iter(given_inputs.values()))
    complete = {}
    for name, width in widths.items():
        if name in given_inputs:
            complete[name] = given_inputs[name]
        elif present is not None and name in present:
            complete[name] = torch.zeros(example.shape[0], 0, width, dtype=example.dtype, device=example.device)
        else:
            raise ModalityError(
                f"{where}: inputs lacks {name!r}; expected {list(widths)}, got {list(inputs)}. Where no sample of the "
                f"batch has it, say so: present={{{name!r}: torch.zeros(batch, dtype=torch.bool)}}."
            )
    known_masks = None if masks is None else {name: mask for name, mask in masks.items() if name in given_inputs}
    return complete, resolve_masks(where, complete, known_masks, present)

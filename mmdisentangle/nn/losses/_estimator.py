"""An estimator trains along with the model, and says so where nobody trains it."""

import warnings
from collections.abc import Iterator

import torch
from torch import nn

# Training steps without any change of the parameters before a warning; as many may be accumulated into one step.
PATIENCE = 100


class Estimator(nn.Module):
    """Base of losses that own a network; `watch` is called once per forward in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self._unchanged, self._version = 0, -1

    def watch(self) -> None:
        """Warn once where the parameters have not changed for `PATIENCE` training steps.

        Every in-place change, which is what an optimizer makes, raises a tensor's version, a number on the host: no
        value is read. Compiled code, and parameters that are no leaves (``torch.func``), are not watched.
        """
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        parameters = list(self._trained())
        if not parameters or not all(isinstance(parameter, nn.Parameter) for parameter in parameters):
            return
        version = sum(parameter._version for parameter in parameters)
        self._unchanged = self._unchanged + 1 if version == self._version else 0
        self._version = version
        if self._unchanged == PATIENCE:
            warnings.warn(
                f"{type(self).__name__}: its parameters have not changed in {PATIENCE} training steps, so that it "
                "estimates nothing; keep it as a submodule of the model, or give its parameters() to the optimizer, or "
                "call requires_grad_(False) on it where that is meant.",
                stacklevel=3,
            )

    def _trained(self) -> Iterator[torch.Tensor]:
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

"""Dropout as a module, on the cheap dropout of the library."""

from torch import Tensor, nn

from mmdisentangle._core.dropout import dropout


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; large masks cost a processor less. The same distribution, other random numbers."""

    def forward(self, input: Tensor) -> Tensor:
        """Zero entries in training, and scale the others."""
        return dropout(input, self.p, self.training)

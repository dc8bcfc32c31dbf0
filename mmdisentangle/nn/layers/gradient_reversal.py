"""Gradient reversal as a layer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmdisentangle._core.checks import check_number
from mmdisentangle.functional import gradient_reversal


class GradientReversal(nn.Module):
    r"""Identity whose gradient is multiplied by ``-strength``: `functional.gradient_reversal` with a state.

    .. math:: y = x, \qquad \frac{\partial y}{\partial x} := -\lambda I

    The strength is a persistent 0-dim buffer: it is saved, moved and resumed with the model, and a schedule that
    changes it does not recompile anything. Schedules are pure functions of progress (`list_schedules`).

    Args:
        strength: initial strength; 0 cuts the gradient.

    Shape:
        Any; the result has the shape of x.

    Returns:
        Values equal to ``x`` bit for bit wherever x is finite.

    Raises:
        SettingError: strength is not a finite number.
        RuntimeError: by autograd, where the strength changed between a forward and its backward.

    Example:
        >>> layer, x = GradientReversal(), torch.ones(2, requires_grad=True)
        >>> layer.set_strength(0.25)
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([-0.2500, -0.2500])

    References:
        Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015, arXiv:1409.7495.
    """

    strength: Tensor

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        check_number("GradientReversal", "strength", strength)
        self.register_buffer("strength", torch.tensor(float(strength)))

    def set_strength(self, strength: float) -> None:
        """Set the strength in place, between steps."""
        check_number("GradientReversal.set_strength", "strength", strength)
        self.strength.fill_(strength)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return ``x``."""
        return gradient_reversal(x, self.strength)

"""Gradient reversal: identity forward, minus ``strength`` times the gradient backward."""

from jaxtyping import Float
from torch import Tensor

from mmdisentangle._core.checks import check_number, check_tensor
from mmdisentangle._core.errors import DtypeError, ShapeError


def gradient_reversal(x: Float[Tensor, "..."], strength: float | Float[Tensor, ""] = 1.0) -> Float[Tensor, "..."]:
    r"""Return ``x`` unchanged and multiply its gradient by ``-strength``.

    .. math:: y = x, \qquad \frac{\partial y}{\partial x} := -\lambda I

    Place it between an encoder and a discriminator: the discriminator learns to tell, the encoder learns that it
        cannot.

    Args:
        x: any floating tensor.
        strength: 0 cuts the gradient, negative values pass it on unreversed. A 0-dim tensor is the same under
            ``torch.compile``; it may change between steps, not between a forward and its backward.

    Shape:
        Any; the result has the shape of x.

    Returns:
        Values equal to ``x`` bit for bit wherever x is finite.

    Raises:
        DtypeError: x is not floating.
        ShapeError: strength is a tensor with axes.
        SettingError: strength is a number that is not finite.
        RuntimeError: raised by autograd in the backward pass, where a strength tensor was changed in place since the
            forward.

    Numerics:
        Written as ``d - strength * (x - d)`` with ``d = x.detach()``: ordinary operations, so it reverses in eager
        mode, under ``torch.compile(fullgraph=True)``, ``torch.func.grad``, ``vmap``, their compositions and in exported
        programs, where an ``autograd.Function`` silently fails in some. An infinite entry becomes NaN: mask or clamp
        before, not after.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> gradient_reversal(x, 0.5).sum().backward()
        >>> x.grad
        tensor([-0.5000, -0.5000])

    References:
        Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015, arXiv:1409.7495.
    """
    check_tensor("gradient_reversal", "x", x)
    if not x.is_floating_point():
        raise DtypeError(f"gradient_reversal: x must be a floating-point tensor, got {x.dtype}.")
    if isinstance(strength, Tensor):
        if strength.ndim:
            raise ShapeError(
                f"gradient_reversal: strength must be a number or a 0-dim tensor, got shape {list(strength.shape)}."
            )
    else:
        check_number("gradient_reversal", "strength", strength)
    d = x.detach()
    # The strength is not cast: autograd watches the tensor itself, and notices a change before the backward.
    return (d - strength * (x - d)).to(x.dtype)

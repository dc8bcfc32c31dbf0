"""Factorised bilinear pooling: a low-rank product of two vectors."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from mmdisentangle._core.checks import check_count, check_float, check_number, check_tensor
from mmdisentangle._core.dropout import dropout as apply_dropout
from mmdisentangle._core.errors import DtypeError, ShapeError
from mmdisentangle._core.numerics import unit_vectors


def factorized_bilinear(
    x: Float[Tensor, "*batch D1"],
    y: Float[Tensor, "*batch D2"],
    weight_x: Float[Tensor, "O_K D1"],
    weight_y: Float[Tensor, "O_K D2"],
    *,
    num_factors: int = 2,
    dropout: float = 0.0,
    training: bool = False,
    normalize: bool = True,
) -> Float[Tensor, "*batch O"]:
    r"""Pool two vectors into ``O`` bilinear features of rank ``num_factors``.

    .. math:: b = (U x) \odot (V y), \qquad o_i = \sum_{k} b_{iK + k}, \qquad o \leftarrow o / \|o\|_2

    Use it where two codes must be compared feature by feature, which a concatenation followed by a linear layer cannot
    do.

    Args:
        x: first vectors.
        y: second vectors, same leading axes.
        weight_x: ``U``; consecutive groups of ``num_factors`` rows belong to one output.
        weight_y: ``V``.
        num_factors: rank ``K`` of each output's bilinear form.
        dropout: probability of dropping an entry of ``b``; drawn from torch's generator.
        training: whether dropout is active.
        normalize: scale the result to length one.

    Shape:
        x ``[..., D1]``, y ``[..., D2]``, weights ``[O * num_factors, D]``; result ``[..., O]``.

    Returns:
        Pooled features, of unit length where ``normalize`` is set; a zero product stays zero.

    Raises:
        DtypeError: an input is not floating.
        ShapeError: leading axes or widths do not match, or the weight's rows are no multiple of ``num_factors``.
        SettingError: ``num_factors`` below 1, or dropout outside 0..1.

    Numerics:
        The gradient is finite where the product is zero. The norm is part of the graph, in the dtype of the inputs.

    Example:
        >>> x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
        >>> factorized_bilinear(x, y, torch.eye(2), torch.eye(2), num_factors=2, normalize=False)
        tensor([11.])

    References:
        Yu et al., "Multi-modal Factorized Bilinear Pooling with Co-Attention Learning", 2017, arXiv:1708.01471.
    """
    where = "factorized_bilinear"
    for name, tensor in (("x", x), ("y", y)):
        check_tensor(where, name, tensor)
        if not tensor.is_floating_point():
            raise DtypeError(f"{where}: {name} must be a floating-point tensor, got {tensor.dtype}.")
    check_float(where, "weight_x", weight_x, "O*K D1")
    check_float(where, "weight_y", weight_y, "O*K D2")
    if x.shape[:-1] != y.shape[:-1]:
        raise ShapeError(
            f"{where}: x and y must have the same leading axes, got shapes {list(x.shape)} and {list(y.shape)}."
        )
    for name, tensor, weight in (("x", x, weight_x), ("y", y, weight_y)):
        if tensor.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"{where}: weight_{name} must have as many columns as {name} has features, "
                f"got {weight.shape[1]} and {tensor.shape[-1]}."
            )
    check_count(where, "num_factors", num_factors)
    check_number(where, "dropout", dropout, low=0, high=1)
    if weight_x.shape[0] != weight_y.shape[0] or weight_x.shape[0] % num_factors:
        raise ShapeError(
            f"{where}: both weights must have the same number of rows, a multiple of num_factors={num_factors}, "
            f"got {weight_x.shape[0]} and {weight_y.shape[0]}."
        )
    product = linear(x, weight_x) * linear(y, weight_y)
    product = apply_dropout(product, dropout, training)
    pooled = product.unflatten(-1, (weight_x.shape[0] // num_factors, num_factors)).sum(-1)
    return unit_vectors(pooled) if normalize else pooled

"""Small networks of estimators, whose parameters can be seen as constants or with a reversed gradient."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from mmdisentangle._core.numerics import at_least_float32, without_autocast

# What a network does to each of its parameters before use: nothing, `Tensor.detach`, `gradient_reversal`.
View: TypeAlias = Callable[[Tensor], Tensor]


def as_they_are(parameter: Tensor) -> Tensor:
    """The view of parameters that learn."""
    return parameter


class Perceptron(nn.Module):
    """Linear layers with ReLU between them, computed in float32 at least.

    Args:
        widths: of the input, of every hidden layer, and of the output.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: Tensor, view: View = as_they_are) -> Tensor:
        """Return the output for ``x [..., features]``."""
        x = at_least_float32(x)
        with without_autocast(x):
            for number, layer in enumerate(self.layers):
                assert isinstance(layer, nn.Linear)
                x = affine(x.relu() if number else x, view(layer.weight), view(layer.bias))
        return x


class SeparableCritic(nn.Module):
    """Score ``f(x) . g(y)`` of two perceptrons: all pairs cost one product of matrices."""

    def __init__(self, x_features: int, y_features: int, hidden: Sequence[int], embedding_features: int) -> None:
        super().__init__()
        self.x_network = Perceptron((x_features, *hidden, embedding_features))
        self.y_network = Perceptron((y_features, *hidden, embedding_features))

    def embed(self, x: Tensor, y: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """What is computed once per code, ``[N, E]`` each."""
        return self.x_network(x, view), self.y_network(y, view)

    def pairs(self, x: Tensor, y: Tensor, view: View) -> Tensor:
        """Scores ``[N]`` of row i with row i."""
        return (x * y).sum(-1)

    def table(self, x: Tensor, y: Tensor, view: View) -> Tensor:
        """Scores ``[N, N]`` of every row with every row."""
        with without_autocast(x):
            return x @ y.mT


class JointCritic(nn.Module):
    """Score of one perceptron that sees both codes: more expressive, and all pairs cost N^2 of its passes.

    The first layer is linear in x and y apart, so that it is computed once per code.
    """

    def __init__(self, x_features: int, y_features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.x_features = x_features
        self.first = nn.Linear(x_features + y_features, hidden[0])
        self.rest = Perceptron((*hidden, 1))

    def embed(self, x: Tensor, y: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """What is computed once per code, ``[N, H]`` each."""
        x, y, weight = at_least_float32(x), at_least_float32(y), view(self.first.weight)
        with without_autocast(x):
            return (
                affine(x, weight[:, : self.x_features], view(self.first.bias)),
                affine(y, weight[:, self.x_features :], None),
            )

    def pairs(self, x: Tensor, y: Tensor, view: View) -> Tensor:
        """Scores ``[N]`` of row i with row i."""
        scores: Tensor = self.rest((x + y).relu(), view)
        return scores.squeeze(-1)

    def table(self, x: Tensor, y: Tensor, view: View) -> Tensor:
        """Scores ``[N, N]`` of every row with every row."""
        return self.pairs(x.unsqueeze(1), y, view)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``linear`` in the wider of the dtypes of ``x`` and float32, whatever that of the parameters is."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    return linear(x, weight.to(dtype), None if bias is None else bias.to(dtype))

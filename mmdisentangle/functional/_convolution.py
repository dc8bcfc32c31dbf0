"""Two-dimensional convolution that compiles to one graph for every batch size."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Tensor:
    """``torch.nn.functional.conv2d`` with stride 1 of ``[B, C, H, W]``.

    torch chooses its kernel for a CPU by whether a batch has 16 samples, which would bind a compiled graph to one side.
    There, samples stand below each other as one image, with as many rows of zeros between them as the kernel reaches.
    """
    if not torch.compiler.is_compiling() or x.device.type != "cpu":
        return conv2d(x, weight, bias, padding=padding, dilation=dilation)
    batch, _, height, _ = x.shape
    rows = height + padding[0]
    image = pad(x, (0, 0, 0, padding[0])).transpose(0, 1).flatten(1, 2).unsqueeze(0)
    result = conv2d(image, weight, bias, padding=padding, dilation=dilation)
    samples: Tensor = result.squeeze(0).unflatten(1, (batch, rows))
    return samples[:, :, :height].transpose(0, 1)

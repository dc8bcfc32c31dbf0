"""Layers written out as loops over samples, frames and heads; weights come as float64 arrays in torch's layout."""

import math

import numpy as np


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


def layer_norm(v: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    return (v - v.mean()) / math.sqrt(((v - v.mean()) ** 2).mean() + eps) * weight + bias


def sinusoid(position: float, width: int) -> np.ndarray:
    table = np.zeros(width)
    for d in range(width):
        angle = position / 10000 ** ((d - d % 2) / width)
        table[d] = math.cos(angle) if d % 2 else math.sin(angle)
    return table


def attend(query: np.ndarray, keys: np.ndarray, values: np.ndarray, heads: int) -> np.ndarray:
    """One query vector over the rows of ``keys``; every head moves its own slice of ``values``."""
    if len(keys) == 0:
        return np.zeros(values.shape[1])
    width, result = len(query) // heads, []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        weights = softmax(np.array([query[part] @ key[part] / math.sqrt(width) for key in keys]))
        result.append(sum(w * value[part] for w, value in zip(weights, values, strict=True)))
    return np.concatenate(result)


def cross_attention(query, context, mask, w, heads) -> np.ndarray:
    """``w`` holds the state dict of the layer."""
    result = np.zeros((*query.shape[:2], len(w["output.weight"])))
    for b in range(len(query)):
        real = [t for t in range(context.shape[1]) if mask[b, t]]
        if not real:
            continue
        keys = np.array([w["key.weight"] @ context[b, t] for t in real])
        values = np.array([w["value.weight"] @ context[b, t] for t in real])
        for t in range(query.shape[1]):
            moved = attend(w["query.weight"] @ query[b, t], keys, values, heads)
            result[b, t] = w["output.weight"] @ moved + w["output.bias"]
    return result


def carried(query, context, codes, mask, w, heads) -> np.ndarray:
    result = np.zeros((*query.shape[:2], codes.shape[2]))
    for b in range(len(query)):
        real = [t for t in range(context.shape[1]) if mask[b, t]]
        keys = np.array([w["key.weight"] @ context[b, t] for t in real])
        for t in range(query.shape[1]):
            result[b, t] = attend(w["query.weight"] @ query[b, t], keys, codes[b, real], heads)
    return result


def convolve(h, weight, bias, dilation) -> np.ndarray:
    """Convolution over the rows of ``h``; ``weight [out, in, 1, K]``; rows outside count as zeros."""
    kernel_size, result = weight.shape[-1], np.zeros((len(h), len(bias)))
    for t in range(len(h)):
        result[t] = bias
        for k in range(kernel_size):
            s = t + (k - kernel_size // 2) * dilation
            if 0 <= s < len(h):
                result[t] += weight[:, :, 0, k] @ h[s]
    return result


def temporal_conv(x, mask, w, num_blocks) -> np.ndarray:
    """Residual blocks of dilated convolutions, frame by frame; GELU by the error function."""
    results = []
    for frames, real in zip(x, mask, strict=True):
        real = real[:, None]
        h = convolve(np.where(real, frames, 0.0), w["stem.weight"], w["stem.bias"], 1)
        for index in range(num_blocks):
            name = f"blocks.{index}."
            normed = [layer_norm(row, w[name + "norm.weight"], w[name + "norm.bias"]) for row in h]
            active = np.array([[v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in row] for row in normed])
            active = np.where(real, active.reshape(h.shape), 0.0)
            h = h + convolve(active, w[name + "convolution.weight"], w[name + "convolution.bias"], 2**index)
        normed = np.array([layer_norm(row, w["norm.weight"], w["norm.bias"]) for row in h]).reshape(h.shape)
        results.append(np.where(real, normed, 0.0))
    return np.array(results)


def state(module) -> dict[str, np.ndarray]:
    """Weights of a torch module as float64 arrays."""
    return {name: tensor.detach().double().numpy() for name, tensor in module.state_dict().items()}

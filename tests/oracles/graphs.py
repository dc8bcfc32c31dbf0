"""Graphs written out as loops over samples, nodes and edges, from the definitions."""

import math

import numpy as np

from tests.oracles.layers import softmax


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.array([1 / (1 + math.exp(-v)) for v in x])


def modality_neighbours(present, self_loops) -> dict[int, list[int]]:
    """Neighbours of every node of one sample that exists."""
    nodes = [i for i, here in enumerate(present) if here]
    result = {}
    for i in nodes:
        result[i] = [j for j in nodes if j != i or self_loops] or [i]
    return result


def modality_messages(nodes, weight, score_weight, score_bias, self_loops, present):
    """What every node of every sample receives ``[B, M, d_out]``, and the attention ``[B, M, M]``."""
    batch, count, _ = nodes.shape
    received, attention = np.zeros((batch, count, len(weight))), np.zeros((batch, count, count))
    for b in range(batch):
        h = {i: weight @ nodes[b, i] for i in range(count) if present[b, i]}
        for i, neighbours in modality_neighbours(present[b], self_loops).items():
            deltas = [score_weight @ np.concatenate([h[i], h[j]]) + score_bias for j in neighbours]
            for j, xi in zip(neighbours, softmax(np.array([gelu(delta) for delta in deltas])), strict=True):
                attention[b, i, j] = xi
                received[b, i] += xi * h[j]
    return received, attention


def modality_graph(nodes, weight, score_weight, score_bias, self_loops, present):
    """Fused codes ``[B, d_out]`` and attention of the printed equations."""
    received, attention = modality_messages(nodes, weight, score_weight, score_bias, self_loops, present)
    return read_out(received, present, "paper"), attention


def read_out(nodes, mask, form, score=None) -> np.ndarray:
    """``nodes [B, N, D]`` to ``[B, D]``; ``score [D]`` for the learned softmax."""
    result = np.zeros((nodes.shape[0], nodes.shape[2]))
    for b in range(len(nodes)):
        real = [nodes[b, i] for i in range(nodes.shape[1]) if mask[b, i]]
        if not real:
            continue
        if form == "paper":
            result[b] = sum(sigmoid(x) for x in real)
        elif form == "mean":
            result[b] = sum(real) / len(real)
        else:
            shares = softmax(np.array([score @ x for x in real]))
            result[b] = sum(share * x for share, x in zip(shares, real, strict=True))
    return result


def temporal_neighbours(times, groups, mask, window, cross_window, max_neighbours, self_loops) -> dict[int, list[int]]:
    """Neighbours of every real node of one sample; the nodes stand in the given order."""
    result = {}
    for i in range(len(times)):
        if not mask[i]:
            continue
        result[i] = []
        for j in range(len(times)):
            limit = window if groups[i] == groups[j] else cross_window
            near = abs(times[i] - times[j]) <= limit and abs(i - j) <= max_neighbours
            if mask[j] and near and (i != j or self_loops):
                result[i].append(j)
        result[i] = result[i] or [i]
    return result


def temporal_attention(q, k, v, neighbours) -> np.ndarray:
    """One sample: ``q, k, v [H, N, d]``."""
    result = np.zeros_like(q)
    for h in range(len(q)):
        for i, sources in neighbours.items():
            weights = softmax(np.array([q[h, i] @ k[h, j] / math.sqrt(q.shape[2]) for j in sources]))
            result[h, i] = sum(weight * v[h, j] for weight, j in zip(weights, sources, strict=True))
    return result


def frame_line(masks, timestamps) -> list[tuple[float, int, int]]:
    """One sample: (time, number of the modality, index of the frame) of every real frame, in order of time."""
    longest = max(int(mask.sum()) for mask in masks)
    frames = []
    for number, mask in enumerate(masks):
        position, count = 0, int(mask.sum())
        for index in range(len(mask)):
            if mask[index]:
                time = (2 * position + 1) * longest / (2 * count) if timestamps is None else timestamps[number][index]
                frames.append((float(time), number, index))
                position += 1
    return sorted(frames)


def frame_graph(codes, masks, timestamps, w, projections, heads, **edges) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ``[B, N, D]`` after one graph of frames, padding last, and their mask; ``w`` is its state dict.

    ``codes`` and ``masks`` are lists by modality, ``projections`` the names of their projections.
    """
    batch, length = len(codes[0]), sum(code.shape[1] for code in codes)
    result, real = np.zeros((batch, length, len(w["attention.skip.weight"]))), np.zeros((batch, length), dtype=bool)
    for b in range(batch):
        line = frame_line([mask[b] for mask in masks], None if timestamps is None else [t[b] for t in timestamps])
        if not line:
            continue
        nodes = []
        for _, number, index in line:
            name = projections[number]
            nodes.append(w[f"{name}.weight"] @ codes[number][b, index] + w[f"{name}.bias"])
        q, k, v, skip = (
            np.array([w[f"attention.{part}.weight"] @ x + w[f"attention.{part}.bias"] for x in nodes])
            for part in ("query", "key", "value", "skip")
        )
        q, k, v = (x.reshape(len(line), heads, -1).transpose(1, 0, 2) for x in (q, k, v))
        times, groups = [frame[0] for frame in line], [frame[1] for frame in line]
        neighbours = temporal_neighbours(times, groups, [True] * len(line), **edges)
        attended = temporal_attention(q, k, v, neighbours).transpose(1, 0, 2).reshape(len(line), -1)
        result[b, : len(line)], real[b, : len(line)] = attended + skip, True
    return result, real


def slope(function, arrays, directions, step=1e-5) -> float:
    """Central difference of a number along the directions, all arrays at once."""
    ends = [
        function(*(x + sign * step * direction for x, direction in zip(arrays, directions, strict=True)))
        for sign in (1, -1)
    ]
    return (ends[0] - ends[1]) / (2 * step)

"""Divergences between neighbouring frames, one number at a time."""

import math

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = [math.exp(v - max(logits)) for v in logits]
    return np.array([e / sum(exponentials) for e in exponentials])


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def divergence(name: str, p: np.ndarray, q: np.ndarray) -> float:
    if name == "kl":
        return kl(p, q)
    if name == "symmetric_kl":
        return (kl(p, q) + kl(q, p)) / 2
    if name == "total_variation":
        return math.fsum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2
    assert name == "js"
    m = (p + q) / 2
    return (kl(p, m) + kl(q, m)) / 2


def moments(frame: np.ndarray) -> np.ndarray:
    mean = math.fsum(frame) / len(frame)
    return np.array([mean, math.sqrt(math.fsum((v - mean) ** 2 for v in frame) / len(frame))])


def describe(name: str, frame: np.ndarray, temperature: float) -> np.ndarray:
    return moments(frame) if name == "gaussian_w2" else softmax(frame / temperature)


def compare(name: str, first: np.ndarray, second: np.ndarray) -> float:
    if name == "gaussian_w2":
        return float(((first - second) ** 2).sum())
    return divergence(name, first, second)


def temporal_invariance(x, mask, name, aggregation, temperature) -> tuple[np.ndarray, np.ndarray]:
    """Terms of all pairs, 0 where invalid, and which are valid."""
    batch, frames, _ = x.shape
    mask = np.ones((batch, frames), bool) if mask is None else mask
    pairs = max(frames - 1, 0)
    if aggregation == "sample":
        terms, valid = np.zeros((batch, pairs)), np.zeros((batch, pairs), bool)
        for b in range(batch):
            for t in range(pairs):
                if mask[b, t] and mask[b, t + 1]:
                    ends = [describe(name, x[b, s], temperature) for s in (t, t + 1)]
                    terms[b, t], valid[b, t] = compare(name, *ends), True
        return terms, valid
    terms, valid = np.zeros(pairs), np.zeros(pairs, bool)
    for t in range(pairs):
        both = [b for b in range(batch) if mask[b, t] and mask[b, t + 1]]
        if both:
            ends = [sum(describe(name, x[b, s], temperature) for b in both) / len(both) for s in (t, t + 1)]
            terms[t], valid[t] = compare(name, *ends), True
    return terms, valid

"""Distances and dependences between sets of codes, one number at a time."""

import math

import numpy as np


def central_moment_discrepancy(x, y, num_moments=5, bounds=(0.0, 1.0)) -> float:
    total = 0.0
    for order in range(1, num_moments + 1):
        squares = 0.0
        for d in range(x.shape[1]):
            pair = []
            for codes in (x[:, d], y[:, d]):
                mean = sum(codes) / len(codes)
                pair.append(mean if order == 1 else sum((c - mean) ** order for c in codes) / len(codes))
            squares += (pair[0] - pair[1]) ** 2
        total += math.sqrt(squares) / (bounds[1] - bounds[0]) ** order
    return total


def _centred(x):
    return np.array([[x[n, d] - sum(x[:, d]) / len(x) for d in range(x.shape[1])] for n in range(len(x))])


def orthogonality_rows(x, y) -> float:
    x, y = _centred(x), _centred(y)
    total = 0.0
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            entry = 0.0
            for n in range(len(x)):
                lengths = math.sqrt(sum(v * v for v in x[n])) * math.sqrt(sum(v * v for v in y[n]))
                entry += x[n, i] * y[n, j] / lengths if lengths else 0.0
            total += entry**2
    return total / (x.shape[1] * y.shape[1])


def cosine(a, b) -> float:
    lengths = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / lengths if lengths else 0.0


def cosine_margin_terms(features, prototypes, target, scale, margin) -> np.ndarray:
    terms = []
    for row, own in zip(features, target, strict=True):
        cosines = [cosine(row, w) for w in prototypes]
        logits = [scale * (c - margin * (j == own)) for j, c in enumerate(cosines)]
        terms.append(math.log(sum(math.exp(v - max(logits)) for v in logits)) + max(logits) - logits[own])
    return np.array(terms)


def factorized_bilinear(x, y, u, v, num_factors, normalize) -> np.ndarray:
    """Value of the bilinear forms ``x^T A_i y`` with ``A_i = sum_k u_ik v_ik^T``, written out."""
    outputs = []
    for i in range(len(u) // num_factors):
        form = np.zeros((len(x), len(y)))
        for k in range(i * num_factors, (i + 1) * num_factors):
            form += np.outer(u[k], v[k])
        outputs.append(sum(x[a] * form[a, b] * y[b] for a in range(len(x)) for b in range(len(y))))
    length = math.sqrt(sum(o * o for o in outputs))
    return np.array(outputs) / (length if normalize and length else 1.0)

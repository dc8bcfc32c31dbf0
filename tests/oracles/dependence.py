"""Dependence of paired codes from explicit Gram and centring matrices, and as sums over distinct samples."""

import math
from itertools import permutations

import numpy as np


def linear_gram(x) -> np.ndarray:
    return np.array([[sum(a * b for a, b in zip(u, v, strict=True)) for v in x] for u in x])


def distance(u, v) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(u, v, strict=True)))


def median_distance(x) -> float:
    """The lower one of the two in the middle."""
    distances = sorted(distance(x[i], x[j]) for i in range(len(x)) for j in range(i))
    return distances[(len(distances) - 1) // 2]


def gaussian_gram(x, sigma) -> np.ndarray:
    return np.array([[math.exp(-(distance(u, v) ** 2) / (2 * sigma**2)) for v in x] for u in x])


def hsic_by_traces(a, b) -> float:
    n = len(a)
    centring = np.eye(n) - np.ones((n, n)) / n
    return float(np.trace(centring @ a @ centring @ b)) / (n - 1) ** 2


def hsic_by_tuples(a, b) -> float:
    """Means of products over all pairs, all pairs of pairs, and all triples of different samples."""
    n = len(a)
    pairs = [a[i, j] * b[i, j] for i, j in permutations(range(n), 2)]
    fours = [a[i, j] * b[q, r] for i, j, q, r in permutations(range(n), 4)]
    triples = [a[i, j] * b[i, q] for i, j, q in permutations(range(n), 3)]
    return float(np.mean(pairs) + np.mean(fours) - 2 * np.mean(triples))


def cka_by_traces(a, b) -> float:
    return hsic_by_traces(a, b) / math.sqrt(hsic_by_traces(a, a) * hsic_by_traces(b, b))


def cka_by_tuples(a, b) -> float:
    return hsic_by_tuples(a, b) / math.sqrt(hsic_by_tuples(a, a) * hsic_by_tuples(b, b))

"""Distances between sets of codes and triplets, by loops over samples."""

import math

import numpy as np
from scipy.linalg import sqrtm

from tests.oracles.codes import cosine
from tests.oracles.dependence import distance, median_distance


def _mean(values) -> float:
    return sum(values) / len(values)


def maximum_mean_discrepancy(x, y, bandwidths, unbiased) -> float:
    def kernel(u, v):
        return _mean([math.exp(-(distance(u, v) ** 2) / (2 * s**2)) for s in bandwidths])

    def within(codes):
        return _mean([kernel(u, v) for i, u in enumerate(codes) for j, v in enumerate(codes) if not unbiased or i != j])

    return within(x) + within(y) - 2 * _mean([kernel(u, v) for u in x for v in y])


def default_bandwidths(x, y) -> list[float]:
    median = median_distance(np.concatenate((x, y)))
    return [median / 4, median / 2, median, 2 * median, 4 * median]


def coral(x, y) -> float:
    a, b = (np.atleast_2d(np.cov(codes, rowvar=False)) for codes in (x, y))
    return float(((a - b) ** 2).sum() / (4 * x.shape[1] ** 2))


def gaussian_wasserstein(x, y) -> float:
    a, b = (np.atleast_2d(np.cov(codes, rowvar=False, bias=True)) for codes in (x, y))
    root = np.real(sqrtm(a))
    between = np.real(sqrtm(root @ b @ root))
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * between))


def gaussian_wasserstein_diagonal(x, y) -> float:
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + ((x.std(0) - y.std(0)) ** 2).sum())


def _centred_distances(x, unbiased) -> np.ndarray:
    n = len(x)
    a = [[distance(u, v) for v in x] for u in x]
    fewer, one = (n - 2, n - 1) if unbiased else (n, n)
    rows = [sum(row) / fewer for row in a]
    total = sum(map(sum, a)) / (fewer * one)
    return np.array(
        [[0.0 if unbiased and i == j else a[i][j] - rows[i] - rows[j] + total for j in range(n)] for i in range(n)]
    )


def distance_correlation(x, y, unbiased=False) -> float:
    a, b = _centred_distances(x, unbiased), _centred_distances(y, unbiased)
    ratio = (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
    return float(ratio if unbiased else math.sqrt(ratio))


def total_variation_terms(x, mask, order) -> list[list[float | None]]:
    """For every sample and start the mean absolute difference, None where a frame of it is padding."""
    weights = [(-1) ** (order - k) * math.comb(order, k) for k in range(order + 1)]
    return [
        [
            _mean([abs(sum(w * x[b, t + k, d] for k, w in enumerate(weights))) for d in range(x.shape[2])])
            if all(mask[b, t + k] for k in range(order + 1))
            else None
            for t in range(x.shape[1] - order)
        ]
        for b in range(x.shape[0])
    ]


def triplets(features, target, modality, margin) -> float:
    rows = range(len(features))
    found = [
        max(0.0, margin - cosine(features[i], features[j]) + cosine(features[i], features[k]))
        for i in rows
        for j in rows
        for k in rows
        if target[j] == target[i] and modality[j] != modality[i]
        if target[k] != target[i] and modality[k] == modality[i]
    ]
    return _mean(found) if found else 0.0

"""Losses that make paired codes agree, with loops and N x N matrices."""

import math

import numpy as np


def barlow_twins(x, y, redundancy_weight):
    total = 0.0
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            a, b = x[:, i] - x[:, i].mean(), y[:, j] - y[:, j].mean()
            lengths = math.sqrt(a @ a) * math.sqrt(b @ b)
            entry = a @ b / lengths if lengths else 0.0
            total += (1 - entry) ** 2 if i == j else redundancy_weight * entry**2
    return total


def vicreg(x, y, deviation):
    """Invariance, variance, covariance."""
    invariance = sum((a - b) ** 2 for a, b in zip(x.ravel(), y.ravel(), strict=True)) / x.size
    variance = covariance = 0.0
    for z in (x, y):
        matrix = np.atleast_2d(np.cov(z, rowvar=False))
        for i in range(z.shape[1]):
            variance += max(0.0, deviation - math.sqrt(matrix[i, i])) / z.shape[1] / 2
            covariance += sum(matrix[i, j] ** 2 for j in range(z.shape[1]) if j != i) / z.shape[1]
    return invariance, variance, covariance


def similarity_preserving(x, y):
    """Sum over rows of the squared distance of their normalised Gram matrices."""
    grams = []
    for z in (x, y):
        gram = z @ z.T
        lengths = np.sqrt((gram**2).sum(1, keepdims=True))
        grams.append(gram / np.where(lengths > 0, lengths, 1))
    return ((grams[0] - grams[1]) ** 2).sum()

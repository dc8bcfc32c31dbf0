"""Contrastive losses and bounds of information, one sample, pair and class at a time, in plain floats."""

import math

import numpy as np


def _scores(x, y, critic, temperature, weight):
    if critic == "cosine":
        lengths = math.sqrt(x @ x) * math.sqrt(y @ y)
        return (x @ y / lengths if lengths else 0.0) / temperature
    return (x @ y if weight is None else x @ weight @ y) / temperature


def _log_sum(values):
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def info_nce_terms(x, y, *, temperature=0.1, critic="cosine", weight=None, negatives="other", symmetric=True):
    def terms(anchors, partners, weight):
        found = []
        for i in range(len(anchors)):
            others = [_scores(anchors[i], partner, critic, temperature, weight) for partner in partners]
            own = others[i]
            if negatives == "both":
                others += [
                    _scores(anchors[i], anchors[j], critic, temperature, None) for j in range(len(anchors)) if j != i
                ]
            found.append(_log_sum(others) - own)
        return np.array(found)

    one = terms(x, y, weight)
    return (one + terms(y, x, None if weight is None else weight.T)) / 2 if symmetric else one


def _log_normal(y, mean, log_variance):
    return sum(
        -((a - m) ** 2) / (2 * math.exp(v)) - v / 2 - math.log(2 * math.pi) / 2
        for a, m, v in zip(y, mean, log_variance, strict=True)
    )


def gaussian_log_likelihood(mean, log_variance, y):
    return sum(_log_normal(y[i], mean[i], log_variance[i]) for i in range(len(y))) / len(y)


def club(mean, log_variance, y, unbiased=True):
    """The definition with all pairs."""
    return _contrast(len(y), lambda i, j: _log_normal(y[j], mean[i], log_variance[i]), unbiased)


def club_categorical(logits, classes, unbiased=True):
    def log_q(i, j):
        return logits[i][classes[j]] - _log_sum(list(logits[i]))

    return _contrast(len(classes), log_q, unbiased)


def _contrast(count, log_q, unbiased):
    total = 0.0
    for i in range(count):
        negatives = [log_q(i, j) for j in range(count) if j != i or not unbiased]
        total += log_q(i, i) - sum(negatives) / len(negatives)
    return total / count


def donsker_varadhan(joint, marginal):
    return sum(joint) / len(joint) - math.log(sum(math.exp(t) for t in marginal) / len(marginal))


def nwj(joint, marginal):
    return 1 + sum(joint) / len(joint) - sum(math.exp(t) for t in marginal) / len(marginal)

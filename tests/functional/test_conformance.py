"""Numbers of the released RTIL program, function by function; 1e-6 relative, 1e-5 for the orthogonality."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdisentangle import functional

FIXTURE = Path(__file__).parents[1] / "conformance" / "rtil_functional.npz"


@pytest.fixture(scope="module")
def released():
    with np.load(FIXTURE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def assert_parity(actual, expected, tolerance=1e-6):
    error = (actual.detach() - expected).norm() / expected.norm()
    assert error < tolerance, f"relative error {error:.1e}"


def leaves(released, *names):
    return [released[name].clone().requires_grad_() for name in names]


@pytest.mark.parametrize("case", range(3))
def test_temporal_invariance(released, case):
    (x,) = leaves(released, f"temporal.{case}.x")
    loss = functional.temporal_invariance(x, aggregation="batch")
    loss.backward()
    assert_parity(loss, released[f"temporal.{case}.loss"])
    assert_parity(x.grad, released[f"temporal.{case}.grad"])


@pytest.mark.parametrize("case", range(2))
def test_central_moment_discrepancy(released, case):
    x, y = leaves(released, f"cmd.{case}.x", f"cmd.{case}.y")
    loss = functional.central_moment_discrepancy(x, y, min_samples=1)
    loss.backward()
    assert_parity(loss, released[f"cmd.{case}.loss"])
    assert_parity(x.grad, released[f"cmd.{case}.grad_x"])
    assert_parity(y.grad, released[f"cmd.{case}.grad_y"])


@pytest.mark.parametrize("case", range(2))
def test_orthogonality(released, case):
    x, y = leaves(released, f"diff.{case}.x", f"diff.{case}.y")
    loss = functional.orthogonality(x, y)
    loss.backward()
    assert_parity(loss, released[f"diff.{case}.loss"], 1e-5)
    assert_parity(x.grad, released[f"diff.{case}.grad_x"], 1e-5)


@pytest.mark.parametrize("case", range(2))
def test_cosine_margin_loss(released, case):
    features, weight = leaves(released, f"angular.{case}.features", f"angular.{case}.weight")
    loss = (
        functional.cosine_margin_loss(features, weight, released[f"angular.{case}.label"])
        + 0.01 * weight.square().sum()
    )
    loss.backward()
    assert_parity(loss, released[f"angular.{case}.loss"])
    assert_parity(features.grad, released[f"angular.{case}.grad_features"])
    assert_parity(weight.grad, released[f"angular.{case}.grad_weight"])


def test_factorized_bilinear(released):
    weights = (released[f"fbp.param.fusion_{side}_matrix.weight"] for side in (1, 2))
    pooled = functional.factorized_bilinear(released["fbp.x"], released["fbp.y"], *weights, num_factors=2)
    assert_parity(pooled, released["fbp.out"])

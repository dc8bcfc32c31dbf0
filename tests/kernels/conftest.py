"""The kernel tests run on a GPU where there is one, else in triton's interpreter; one process cannot use both."""

import os

import pytest

# Set by the conftest above where there is no GPU.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

DEVICES = [
    pytest.param("cpu", id="interpreter", marks=pytest.mark.skipif(not INTERPRETED, reason="the GPU runs the kernel")),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Return where the kernel runs."""
    pytest.importorskip("triton")
    if request.param == "cuda" and INTERPRETED:
        pytest.skip("TRITON_INTERPRET=1")
    return request.param

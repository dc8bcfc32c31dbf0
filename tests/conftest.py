"""What every test stands on: one thread a process, no network, a fixed seed, the hypothesis profiles."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch, matplotlib and the Hub client are imported: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Some virtual machines announce matrix instructions (AMX) that they then refuse, which ends the process.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16")

import hypothesis
import pytest
import torch

if not torch.cuda.is_available():
    # Read when triton is imported, which torch's compiler does for whoever comes first: kernels run in its interpreter.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# No deadline: the first example pays for whatever torch sets up, and test machines are shared.
hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("types", max_examples=10, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _fresh_torch(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give every test the same seed, and leave no default or compiled code behind for the next."""
    torch.manual_seed(0)
    compiles = request.node.get_closest_marker("compile") is not None
    if compiles:
        torch.compiler.reset()
    yield
    if compiles:
        torch.compiler.reset()
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the top of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared(repository: Path) -> Path:
    """Return the folder of reference material that may lie beside the checkout, or skip the test."""
    folder = repository.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' with the reference material beside the checkout")
    return folder


@pytest.fixture(scope="session")
def toy_model() -> type:
    """Return a small model with the interface of the zoo."""
    from tests.toy_model import ToyModel

    return ToyModel


@pytest.fixture
def make_data() -> Callable[..., Any]:
    """Return a maker of small data sets."""
    from mmdisentangle.data import make_shared_private

    def make(count: int = 48, task: str = "classification", seed: int = 0, **settings: Any) -> Any:
        return make_shared_private(
            count, modalities={"a": 4, "b": 3}, lengths={"a": 12, "b": 7}, task=task, seed=seed, **settings
        ).dataset

    return make

"""Which implementation of the temporal loss ``impl`` chooses, and what ``"fused"`` refuses."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from mmdisentangle import functional
from mmdisentangle.errors import DtypeError, MissingExtraError, SettingError, ShapeError
from mmdisentangle.kernels import temporal_invariance
from tests.oracles import expect
from tests.oracles.draws import coin, normal

room = sys.modules["mmdisentangle.kernels.temporal_invariance"]
only_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
fused = partial(temporal_invariance, impl="fused")
reference = functional.temporal_invariance


@pytest.mark.parametrize("divergence", ["js", "kl"])
@pytest.mark.parametrize("aggregation", ["sample", "batch"])
def test_reference_and_auto_on_a_cpu_are_the_function(monkeypatch, divergence, aggregation):
    monkeypatch.setattr(room, "_fused_jsd", None)
    x, mask = normal(1, 2, 5, 3), coin(1, 2, 5)
    settings = {"divergence": divergence, "aggregation": aggregation, "temperature": 0.5, "reduction": "none"}
    for impl in ("auto", "reference"):
        result = temporal_invariance(x, mask, impl=impl, **settings)
        torch.testing.assert_close(result, reference(x, mask, **settings), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("chosen", "settings"),
    [
        (True, {}),
        (True, {"dtype": torch.bfloat16}),
        (True, {"width": 8192}),
        (False, {"is_cuda": False}),
        (False, {"dtype": torch.float64}),
        (False, {"width": 8193}),
        (False, {"divergence": "kl"}),
        (False, {"aggregation": "batch"}),
        (False, {"interpreted": True}),
        (False, {"compiling": True}),
        (False, {"triton": None}),
    ],
)
def test_what_auto_chooses(monkeypatch, chosen, settings):
    pytest.importorskip("triton")
    from mmdisentangle.kernels import _adjacent_jsd

    monkeypatch.setattr(_adjacent_jsd, "is_interpreted", lambda: settings.get("interpreted", False))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: settings.get("compiling", False))
    if "triton" in settings:
        monkeypatch.setitem(sys.modules, "triton", None)
    x = SimpleNamespace(
        is_cuda=settings.get("is_cuda", True),
        device=torch.device("cuda"),
        dtype=settings.get("dtype", torch.float32),
        shape=(2, 5, settings.get("width", 64)),
    )
    divergence, aggregation = settings.get("divergence", "js"), settings.get("aggregation", "sample")
    assert room._prefers_fused(x, divergence, aggregation) == chosen


@only_gpu
def test_auto_is_fused_on_a_gpu(device, monkeypatch):
    calls = []
    run = room._fused_jsd
    monkeypatch.setattr(room, "_fused_jsd", lambda *arguments: calls.append(1) or run(*arguments))
    x = torch.randn(2, 5, 8, device=device)
    temporal_invariance(x)
    assert calls == [1]
    temporal_invariance(x.double())
    temporal_invariance(x, divergence="kl")
    temporal_invariance(x, impl="reference")
    assert calls == [1]


X = torch.randn(2, 3, 4)


@pytest.mark.parametrize(
    ("exception", "words", "x", "settings"),
    [
        (SettingError, ("impl", "'auto', 'reference', 'fused'", "'fast'"), X, {"impl": "fast"}),
        (SettingError, ("impl='fused'", "divergence='js'", "'kl'", "impl='auto'"), X, {"divergence": "kl"}),
        (SettingError, ("impl='fused'", "aggregation='sample'", "'batch'"), X, {"aggregation": "batch"}),
        (DtypeError, ("x must be float32", "torch.float64", "impl='auto'"), X.double(), {}),
        (DtypeError, ("x must be", "floating", "torch.int64"), X.long(), {"impl": "auto"}),
        (ShapeError, ("8192", "8193", "impl='auto'"), torch.zeros(1, 2, 8193), {}),
        (ShapeError, ("x must have shape", "[B, T, D]"), X[0], {}),
    ],
)
@pytest.mark.bad_input
def test_what_fused_refuses(exception, words, x, settings):
    with expect.error(exception, "temporal_invariance: ", *words):
        temporal_invariance(x, **{"impl": "fused"} | settings)


@pytest.mark.bad_input
@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"reduction": "avg"}, {"mask": torch.ones(2, 3)}])
def test_fused_checks_its_arguments(device, settings):
    with expect.error((SettingError, DtypeError)["mask" in settings], "temporal_invariance: ", *settings):
        fused(X.to(device), **settings)


@pytest.mark.parametrize("frames", [1, 3])
def test_fused_wants_a_gpu(monkeypatch, frames):
    pytest.importorskip("triton")
    from mmdisentangle.kernels import _adjacent_jsd

    monkeypatch.setattr(_adjacent_jsd, "is_interpreted", lambda: False)
    with expect.error(SettingError, "impl='fused'", "CUDA", "cpu", "TRITON_INTERPRET=1"):
        fused(X[:, :frames])


def test_fused_wants_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with expect.error(MissingExtraError, "triton", "mmdisentangle[fused]"):
        fused(X)

"""On a GPU: a captured training step replays like the eager one, and autocast trains."""

import copy

import pytest
import torch

from mmdisentangle.models import create_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
WIDTHS = {"text": 12, "audio": 6, "vision": 8}
STEPS = 5


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = {m: torch.randn(8, 20 + i, w, generator=generator).cuda() for i, (m, w) in enumerate(WIDTHS.items())}
    masks = {m: (torch.rand(x.shape[:2], generator=generator) < 0.8).cuda() for m, x in inputs.items()}
    return inputs, masks, torch.randn(8, 1, generator=generator).cuda()


def fill(static, new):
    for old, now in zip(static, new, strict=True):
        if isinstance(old, dict):
            for name, x in now.items():
                old[name].copy_(x)
        else:
            old.copy_(now)


@pytest.mark.parametrize("name", ["rtil", "mea"])
def test_captured_step(name):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1).cuda().eval()
    twin = copy.deepcopy(model)
    static = batch(0)

    def make_step(model, adam, inputs, masks, target):
        def step():
            adam.zero_grad(set_to_none=True)
            model.objective(model(inputs, masks), target).total.backward()
            adam.step()

        return step

    adam = torch.optim.Adam(model.parameters(), lr=1e-3, capturable=True)
    step = make_step(model, adam, *static)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    twin_adam = torch.optim.Adam(twin.parameters(), lr=1e-3, capturable=True)
    for _ in range(3):
        make_step(twin, twin_adam, *batch(0))()

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for seed in range(1, STEPS):
        fill(static, batch(seed))
        graph.replay()
        make_step(twin, twin_adam, *batch(seed))()
    torch.cuda.synchronize()
    for (label, own), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4, msg=lambda text, label=label: f"{label}: {text}")


@pytest.mark.parametrize("name", ["rtil", "mea"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(name, dtype):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1).cuda().eval()
    inputs, masks, target = batch(0)
    totals = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cuda", dtype, enabled=enabled):
            total = model.objective(model(inputs, masks), target).total
        total.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        totals.append(total.item())
    assert abs(totals[1] - totals[0]) < 0.1 * abs(totals[0])


@pytest.mark.parametrize("name", ["rtil", "mea"])
def test_same_as_on_the_cpu(name):
    torch.manual_seed(0)
    model = create_model(name, modalities=WIDTHS, num_outputs=1).double().eval()
    inputs, masks, target = batch(0)
    inputs = {m: x.double() for m, x in inputs.items()}
    on_gpu = copy.deepcopy(model).cuda()
    total = on_gpu.objective(on_gpu(inputs, masks), target.double()).total
    cpu_inputs, cpu_masks = ({m: x.cpu() for m, x in streams.items()} for streams in (inputs, masks))
    expected = model.objective(model(cpu_inputs, cpu_masks), target.double().cpu()).total
    torch.testing.assert_close(total.cpu(), expected, rtol=1e-9, atol=1e-9)

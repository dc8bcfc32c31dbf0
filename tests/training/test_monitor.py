"""An adversary that does nothing is named; one that is well is left alone; and no number changes."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from mmdisentangle.data import make_shared_private
from mmdisentangle.errors import DtypeError
from mmdisentangle.nn import DoubleDiscriminator, GradientReversal, ModalityDiscriminator
from mmdisentangle.testing.processes import run_processes
from mmdisentangle.training import DiscriminatorMonitor, RunFolder, fit
from mmdisentangle.training.adversary import Watch, find_watches, linear_probe
from mmdisentangle.training.trouble import find_trouble
from tests.small_models import SMALL
from tests.training import watching

ILL = {
    "softmax": "'adversary.discriminator' is dead: its parameters got no gradient, or one of 0",
    "zero": "'adversary' is dead: its parameters got no gradient, or one of 0",
    "unweighted": "'adversary' is dead: its parameters got no gradient, or one of 0",
    "frozen": "'adversary' is dead: none of its parameters is trained",
    "detached": "'adversary' was never connected: the codes it is given take no gradient",
    "never": "'adversary' was never connected: in a whole epoch no code went through its gradient reversal",
    "forward": "'adversary' was never connected: in a whole epoch no code went through its gradient reversal",
    "saturated": "'adversary' is saturated: it tells the modality of 100 %",
    "lazy": "'adversary' is at chance because it does not learn, not because the codes hide their modality: it tells "
    "that of 50 %, a fresh linear probe on the same codes of 100 % (chance is 50 %)",
}


@pytest.mark.parametrize("kind", ILL)
def test_what_is_ill_is_named_once(kind):
    _, _, said = watching.train(kind)
    assert len(said) == 1
    assert ILL[kind] in said[0]


@pytest.mark.parametrize("kind", ["healthy", "double"])
def test_what_is_well_is_left_alone(kind):
    _, logged, said = watching.train(kind)
    assert not said
    # At the end the codes hide their modality from both.
    assert logged["adversary/adversary/accuracy"] < 0.8
    assert logged["adversary/adversary/probe"] < 0.75
    assert logged["adversary/adversary/gradient"] > 0


def test_no_strength_is_named():
    _, logged, said = watching.train("healthy", strength=0.0)
    assert len(said) == 1
    assert "'adversary' has no strength" in said[0]
    assert logged["adversary/adversary/gradient"] == 0


@pytest.mark.parametrize("kind", ["healthy", "double", "softmax", "detached", "saturated"])
def test_weights_are_the_same_with_and_without(kind):
    watched, _, _ = watching.train(kind, epochs=4)
    alone, _, _ = watching.train(kind, epochs=4, monitor=None)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(watched.state_dict()[name], tensor), name


@pytest.mark.parametrize("name", ["rtil", "mea", "misa"])
def test_a_run_is_the_same_with_and_without(name, make_config, tmp_path):
    data = make_shared_private(24, modalities={"a": 3, "b": 2}, lengths={"a": 5, "b": 4}, missing=0.2).dataset
    results = []
    for on in ("true", "false"):
        config = make_config(f"training.monitor_discriminator={on}", epochs=2)
        config.model.update(SMALL[name])
        if name == "misa":
            config.model.update(similarity="adversarial")
        results.append(fit(config, train=data, model=name, out=tmp_path / on))
    for key, tensor in results[1].model.state_dict().items():
        assert torch.equal(results[0].model.state_dict()[key], tensor), key
    watched = RunFolder(tmp_path / "true").read_json("history.json")[-1]
    seen = {key for key in watched if key.startswith("adversary/")}
    assert {"adversary/discriminator/accuracy", "adversary/discriminator/loss_share"} <= seen
    alone = RunFolder(tmp_path / "false").read_json("history.json")[-1]
    assert {key: value for key, value in watched.items() if key not in seen} == alone


def test_hooks_go_away():
    module, _, _ = watching.train("healthy", epochs=1)
    assert not any(part._forward_hooks for part in module.modules())


def test_numbers_are_those_of_autograd():
    """Every number of a step against its definition, by separate backward passes."""
    seen, module, codes, masks = watching.watched_step(0, 8, gather=False)
    output = module(codes, masks)
    through = torch.autograd.grad(output.loss, list(codes.values()), retain_graph=True)
    parameters = torch.autograd.grad(output.loss, list(module.parameters()))
    pooled_norms = []
    exists = torch.stack([masks[name].any(1) for name in watching.MODALITIES])
    for gradient, mask in zip(through, masks.values(), strict=True):
        # Of a code [B, D]: a frame has one part in the number of real frames.
        pooled_norms.append(gradient.nan_to_num().sum(1).square().sum())
        assert not gradient[~mask].any()
    rest = sum((2 * codes[n].detach()[m] / 8).square().sum() for n, m in masks.items()).sqrt()
    logits = output.logits.detach()
    recall, loss, unsure = [], [], []
    for index in range(2):
        own = logits[index][exists[index]]
        recall.append((own.argmax(-1) == index).double().mean())
        loss.append(-own.log_softmax(-1)[:, index].mean())
        unsure.append(1 - own.softmax(-1)[:, index].mean())
    assert seen.steps == seen.calls == seen.connected == 1
    assert seen.accuracy == pytest.approx(float(sum(recall)) / 2)
    assert seen.loss == pytest.approx(float(sum(loss)) / 2)
    assert seen.unsure == pytest.approx(float(sum(unsure)) / 2)
    assert seen.gradient == pytest.approx(float(sum(pooled_norms).sqrt()))
    assert seen.rest == pytest.approx(float(rest))
    assert seen.parameter_gradient == pytest.approx(float(sum(g.square().sum() for g in parameters).sqrt()))
    assert seen.strength == 0.5
    rows = logits.flatten(0, 1)[exists.flatten()]
    assert seen.spread == pytest.approx(float((rows.amax(0) - rows.amin(0)).max()))


@pytest.mark.parametrize("cut", [4, 3, 8])
def test_two_processes_see_as_one(cut):
    whole, *_ = watching.watched_step(0, 8, gather=True)
    first, second = run_processes(_seen, [(0, cut), (cut, 8)])
    assert first == dataclasses.replace(second)
    for field in dataclasses.fields(whole):
        if field.name not in ("steps", "calls", "connected", "spread"):
            assert getattr(first, field.name) == pytest.approx(getattr(whole, field.name), rel=1e-5), field.name


def _seen(first, last):
    return watching.watched_step(first, last, gather=True)[0]


class TestProbe:
    def test_what_can_be_read_is_read(self):
        generator = torch.Generator().manual_seed(0)
        codes = torch.randn(200, 3, 5, generator=generator)
        everyone = torch.ones(200, 3, dtype=torch.bool)
        assert linear_probe(codes, everyone) == pytest.approx(1 / 3, abs=0.08)
        codes[:, 0, 0] += 20
        codes[:, 1, 1] += 20
        assert linear_probe(codes, everyone) == 1
        # Missing codes may be anything, and a rare modality counts as much as the others.
        there = everyone.clone()
        there[20:, 2] = False
        codes[~there] = torch.nan
        assert linear_probe(codes, there) == 1

    def test_the_order_makes_no_difference(self):
        generator = torch.Generator().manual_seed(0)
        codes, there = torch.randn(50, 2, 3, generator=generator), torch.rand(50, 2, generator=generator) < 0.8
        order = torch.randperm(50, generator=generator)
        assert linear_probe(codes, there) == linear_probe(codes[order], there[order])

    def test_edges(self):
        there = torch.ones(20, 2, dtype=torch.bool)
        assert linear_probe(torch.zeros(20, 2, 3), there) == 0.5
        assert linear_probe(torch.zeros(0, 2, 3), there[:0]) is None
        assert linear_probe(torch.zeros(1, 2, 3), there[:1]) is None
        assert linear_probe(torch.full((20, 2, 3), torch.inf), there) is None
        there[:, 1] = False
        assert linear_probe(torch.zeros(20, 2, 3), there) is None


class TestVerdicts:
    @pytest.fixture
    def well(self):
        seen, *_ = watching.watched_step(0, 8, gather=False)
        return dataclasses.replace(seen, steps=10, probe=0.5, accuracy=0.5)

    def test_chance_is_well_where_the_probe_is_at_chance(self, well):
        assert find_trouble(well, 2) is None
        assert find_trouble(dataclasses.replace(well, probe=0.9), 2) == "not learning"

    def test_right_is_well_while_there_is_no_strength(self, well):
        right = dataclasses.replace(well, accuracy=1.0, unsure=0.001)
        assert find_trouble(right, 2) == "saturated"
        assert find_trouble(dataclasses.replace(right, strength=0.0), 2) is None
        assert find_trouble(dataclasses.replace(right, unsure=0.2), 2) is None

    def test_the_same_answers(self, well):
        assert find_trouble(dataclasses.replace(well, spread=0.0), 2) == "constant"
        assert find_trouble(dataclasses.replace(well, spread=0.0, steps=1), 2) is None

    def test_nothing_comes_back(self, well):
        assert find_trouble(dataclasses.replace(well, gradient=0.0), 2) == "nothing comes back"

    def test_no_step_no_verdict(self, well):
        assert find_trouble(dataclasses.replace(well, steps=0, calls=0), 2) is None

    def test_compiled(self, well):
        traced = dataclasses.replace(well, traced=True, calls=0, connected=0)
        assert find_trouble(traced, 2) is None
        assert find_trouble(dataclasses.replace(traced, parameter_gradient=None), 2) == "no gradient"


def test_what_passes_is_not_named_at_once():
    """Saturated for fewer than a hundred steps is no trouble; warned once, it is not repeated."""
    _, _, said = watching.train("saturated", epochs=10)
    assert not said
    monitor = DiscriminatorMonitor()
    _, _, said = watching.train("saturated", epochs=30, monitor=monitor)
    assert len(said) == 1
    resumed = DiscriminatorMonitor()
    resumed.load_state_dict(monitor.state_dict())
    assert watching.train("saturated", epochs=30, monitor=resumed)[2] == []


def test_every_discriminator_is_found():
    names = ("text", "audio")
    model = nn.ModuleDict(
        {
            "ours": ModalityDiscriminator(names, 4),
            "two": DoubleDiscriminator(names, 4),
            "own": nn.Sequential(GradientReversal(), nn.Linear(4, 1)),
            "other": nn.ModuleDict({"reversal": GradientReversal(), "layer": nn.Linear(4, 1)}),
            "plain": nn.Linear(4, 4),
        }
    )
    assert list(find_watches(model)) == ["ours", "two", "own", "other.reversal"]


def test_modules_of_ones_own():
    monitor = DiscriminatorMonitor({"mine": nn.Linear(2, 2)})
    monitor.on_train_start(None, None)
    assert list(monitor.watches) == ["mine"]
    seen = monitor.watches["mine"]
    seen.active = True
    monitor.discriminators["mine"](torch.randn(4, 2, requires_grad=True)).sum().backward()
    seen.end_step()
    assert find_trouble(seen.epoch(), 0) is None
    with pytest.raises(DtypeError, match="discriminators must map names to modules, got list"):
        DiscriminatorMonitor([nn.Linear(2, 2)])


@pytest.mark.compile
def test_a_compiled_graph_stays_whole():
    module = ModalityDiscriminator(("text", "audio"), 4, dropout=0.0)
    codes = {name: torch.randn(6, 4) for name in ("text", "audio")}
    expected = module(codes).loss
    watch = Watch(module)
    watch.attach()
    watch.active = True
    found = torch.compile(module, fullgraph=True, backend="eager")(codes).loss
    torch.testing.assert_close(found, expected)
    found.backward()
    watch.end_step()
    seen = watch.epoch()
    assert seen.traced
    assert seen.calls == 0
    assert seen.parameter_gradient > 0
    assert not math.isnan(seen.parameter_gradient)

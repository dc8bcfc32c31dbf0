import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from mmdisentangle.data import MultimodalSample, collate
from mmdisentangle.errors import DataError, DtypeError
from mmdisentangle.evaluation.prediction import run_model
from mmdisentangle.nn import GradientReversal
from mmdisentangle.training import DisentanglementModule, OptimConfig, ReversalSchedule
from mmdisentangle.training.module import _factor_at, _rate_schedule, make_optimizer
from mmdisentangle.training.progress import quiet_lightning
from mmdisentangle.training.sampling import ShareSampler, epoch_seed


def test_weight_decay_spares_biases_norms_and_frozen_parameters():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    groups = make_optimizer(model, OptimConfig(weight_decay=0.5)).param_groups
    by_decay = {group["weight_decay"]: [tuple(p.shape) for p in group["params"]] for group in groups}
    assert by_decay == {0.5: [(2, 3)], 0.0: [(2,), (2,), (2,)]}
    with pytest.raises(DataError, match="no trainable parameter"):
        make_optimizer(model.requires_grad_(False), OptimConfig())


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_optimiser_by_name(name, kind):
    optimizer = make_optimizer(nn.Linear(2, 2), OptimConfig(name=name, lr=0.3))
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_learning_rate_over_time():
    factors = [_factor_at(_rate_schedule(OptimConfig(warmup=0.2)), 99, step) for step in range(99)]
    assert min(factors) > 0
    assert factors[19] == pytest.approx(1.0)
    assert factors[:20] == sorted(factors[:20])
    assert factors[19:] == sorted(factors[19:], reverse=True)
    assert factors[-1] < 0.002
    constant = [
        _factor_at(_rate_schedule(OptimConfig(schedule="constant", warmup=0.0)), 99, step) for step in range(99)
    ]
    assert constant == [1.0] * 99


def test_logged_terms_are_means_over_samples(toy_model, make_data):
    """A short last batch counts by its samples."""
    data = make_data(10)
    model = toy_model(modalities=data.modalities, num_outputs=3, task="classification", dropout=0.0)
    module = DisentanglementModule(model, task="classification", num_outputs=3)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    loader = torch.utils.data.DataLoader(data, batch_size=8, collate_fn=data.collate)
    with quiet_lightning():
        logged = pl.Trainer(accelerator="cpu", **off).validate(module, loader, verbose=False)[0]
    batch = data.collate(list(data))
    with torch.no_grad():
        output = model(batch.inputs, batch.masks, present=batch.present)
        assert logged["val/task"] == pytest.approx(float(model.objective(output, batch.target).task), rel=1e-5)
    assert logged["val/accuracy"] == pytest.approx(float((output.prediction.argmax(1) == batch.target).float().mean()))


def test_batch_without_target(toy_model):
    samples = [MultimodalSample({"a": torch.ones(2, 4), "b": torch.ones(2, 3)})]
    module = DisentanglementModule(toy_model(modalities={"a": 4, "b": 3}), task="regression", num_outputs=1)
    with pytest.raises(DataError, match="the batch has no target"):
        module.training_step(collate(samples, modalities=("a", "b")), 0)


def test_model_that_ignores_masks_is_given_none():
    class Settings:
        honour_masks = False

    class Model(nn.Module):
        settings = Settings()

        def forward(self, inputs, masks=None, *, present=None):
            return masks, present

    batch = collate([MultimodalSample({"a": torch.ones(2, 1)})], modalities=("a",))
    assert run_model(Model(), batch) == (None, None)


def test_reversal_schedule_is_a_function_of_the_trainers_progress():
    class Trainer:
        global_step, estimated_stepping_batches = 30, 40

    module = nn.Module()
    module.model = nn.Sequential(GradientReversal(0.0), nn.Sequential(GradientReversal(0.0)))
    callback = ReversalSchedule(lambda progress: 2 * progress)
    callback.on_train_batch_start(Trainer(), module, None, 0)
    assert [float(m.strength) for m in module.modules() if isinstance(m, GradientReversal)] == [1.5, 1.5]
    Trainer.estimated_stepping_batches = float("inf")
    callback.on_train_batch_start(Trainer(), module, None, 0)
    assert float(module.model[0].strength) == 0.0
    assert callback.state_dict() == {}
    with pytest.raises(DtypeError, match="schedule must be a function of progress, got 'dann'"):
        ReversalSchedule("dann")


def test_order_of_samples_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = ShareSampler(20, 20, seed=seed)
        sampler.set_epoch(epoch)
        return next(iter(sampler))

    assert sorted(order(0, 0)) == list(range(20))
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert len({epoch_seed(s, e, k) for s in range(4) for e in range(4) for k in range(4)}) == 64

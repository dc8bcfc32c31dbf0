import math

import pytest
import torch

from mmdisentangle.data import MultimodalDataset, MultimodalSample
from mmdisentangle.errors import AdversaryWarning, DataError, ModalityError, SettingError
from mmdisentangle.training import fit
from mmdisentangle.training.preparation import prepare


def weights(result):
    return torch.cat([tensor.flatten() for tensor in result.model.state_dict().values()])


def poisoned(dataset):
    """The same samples with NaN inputs and other labels."""
    samples = [
        MultimodalSample(
            {name: torch.full_like(x, float("nan")) for name, x in sample.inputs.items()},
            (sample.target + 1) % dataset.num_outputs,
            sample.id,
        )
        for sample in dataset
    ]
    return dataset.with_samples(samples)


def test_training_learns(make_data, make_config, toy_model):
    data = make_data(160)
    result = fit(
        make_config(epochs=25), train=data.subset(range(100)), test=data.subset(range(100, 160)), model=toy_model
    )
    assert result.scores["test"]["accuracy"] > 0.6
    assert result.history[-1]["train/task"] < 0.7 * result.history[0]["train/task"]
    assert result.folder is None


def test_every_term_and_score_is_logged_each_epoch(make_data, make_config, toy_model):
    history = fit(make_config(), train=make_data(), model=toy_model).history
    names = [f"{stage}/{name}" for stage in ("train", "val") for name in ("total", "task", "adversarial", "accuracy")]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert all(math.isfinite(row[name]) for row in history for name in names)


def test_the_test_split_changes_nothing_but_its_scores(make_data, make_config, toy_model):
    train, test = make_data(seed=0), make_data(seed=1)
    runs = [fit(make_config(), train=train, test=t, model=toy_model) for t in (test, poisoned(test), None)]
    for other in runs[1:]:
        assert torch.equal(weights(other), weights(runs[0]))
        assert other.epoch == runs[0].epoch
        assert other.history == runs[0].history
        assert other.standardizer == runs[0].standardizer
        assert other.scores["validation"] == runs[0].scores["validation"]
    assert set(runs[2].scores) == {"validation"}


def test_validation_samples_take_no_part_in_statistics_or_gradients(make_data, make_config, toy_model):
    config = make_config("training.monitor=val/task", epochs=1)
    data = make_data()
    parts = prepare(config, data, None)
    held_out = {sample.id for sample in parts.validation}
    shifted = data.with_samples(
        [
            MultimodalSample({m: x * 100 for m, x in s.inputs.items()}, s.target, s.id) if s.id in held_out else s
            for s in data
        ]
    )
    first, second = fit(config, train=data, model=toy_model), fit(config, train=shifted, model=toy_model)
    assert first.standardizer == second.standardizer
    assert torch.equal(weights(first), weights(second))
    assert first.history[0]["val/task"] != second.history[0]["val/task"]


def test_chosen_weights_are_those_of_the_best_validation_epoch(make_data, make_config, toy_model):
    config = make_config("optim.schedule=constant", "optim.lr=0.3", epochs=8)
    result = fit(config, train=make_data(), model=toy_model)
    values = [row["val/task"] for row in result.history]
    assert result.epoch == 1 + values.index(min(values))
    validation = prepare(config, make_data(), None).validation
    batch = validation.collate(list(validation))
    with torch.no_grad():
        output = result.model(batch.inputs, batch.masks, present=batch.present)
        assert float(result.model.objective(output, batch.target).task) == pytest.approx(min(values), rel=1e-5)


def test_a_score_can_be_the_monitor(make_data, make_config, toy_model):
    result = fit(make_config("training.monitor=val/accuracy", epochs=8), train=make_data(), model=toy_model)
    values = [row["val/accuracy"] for row in result.history]
    assert result.epoch == 1 + values.index(max(values))


def test_last_epoch_mode_uses_all_training_data(make_data, make_config, toy_model):
    result = fit(make_config("training.selection=last"), train=make_data(), test=make_data(seed=1), model=toy_model)
    assert result.epoch == 4
    assert set(result.scores) == {"test"}
    assert not any(name.startswith("val/") for row in result.history for name in row)
    assert result.history[-1]["step"] == 4 * 3


def test_patience_stops_early(make_data, make_config, toy_model):
    config = make_config("training.patience=2", "optim.lr=5.0", "optim.schedule=constant", epochs=40)
    result = fit(config, train=make_data(), model=toy_model)
    assert len(result.history) == result.epoch + 2 < 40


def test_same_seed_same_result_and_global_state_is_left_alone(make_data, make_config, toy_model):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit(make_config(), train=make_data(), model=toy_model)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(weights(fit(make_config(), train=make_data(), model=toy_model)), weights(first))
    assert not torch.equal(weights(fit(make_config("seed=1"), train=make_data(), model=toy_model)), weights(first))


def test_transform_changes_training_samples_only(make_data, make_config, toy_model):
    seen = []

    def transform(sample, generator):
        seen.append(sample.id)
        noise = {name: x + torch.randn(x.shape, generator=generator) for name, x in sample.inputs.items()}
        return MultimodalSample(noise, sample.target, sample.id)

    config = make_config()
    result = fit(config, train=make_data(), test=make_data(seed=1), model=toy_model, transform=transform)
    parts = prepare(config, make_data(), None)
    assert sorted(seen) == sorted([sample.id for sample in parts.training] * 4)
    again = fit(config, train=make_data(), model=toy_model, transform=transform)
    assert torch.equal(weights(again), weights(result))
    assert not torch.equal(weights(fit(config, train=make_data(), model=toy_model)), weights(result))


def test_frozen_encoder_stays_and_the_rest_moves(make_data, make_config, toy_model):
    kept = {}

    def build(**settings):
        model = toy_model(**settings)
        kept.update({name: tensor.clone() for name, tensor in model.state_dict().items()})
        model.encoders["a"].register_forward_hook(lambda module, *_: modes.append(module.training))
        return model

    modes = []
    result = fit(make_config("training.freeze=[a]"), train=make_data(), model=build)
    moved = {name for name, tensor in result.model.state_dict().items() if not torch.equal(tensor, kept[name])}
    assert not any(name.startswith("encoders.a") for name in moved)
    assert {"encoders.b.0.weight", "head.weight"} <= moved
    assert not any(modes)
    with pytest.raises(ModalityError, match=r"training.freeze names 'c', of which the model has no encoder"):
        fit(make_config("training.freeze=[c]"), train=make_data(), model=toy_model)


def test_class_weights_and_target_scaling_come_from_the_training_part(make_data, make_config, toy_model):
    given = {}

    def build(**settings):
        given.update(settings)
        return toy_model(**settings)

    data = make_data(60, num_outputs=2)
    uneven = data.subset([i for i, t in enumerate(data.targets.tolist()) if t == 0 or i % 3 == 0])
    config = make_config("training.class_weights=balanced", "training.selection=last", epochs=1)
    fit(config, train=uneven, model=build)
    counts = uneven.targets.bincount()
    assert given["class_weights"] == pytest.approx((len(uneven) / (2 * counts)).tolist())
    assert "target_scale" not in given

    given.clear()
    data = make_data(task="regression")
    data = data.with_samples([MultimodalSample(s.inputs, 50 + 20 * s.target, s.id) for s in data])
    result = fit(make_config("training.selection=last", epochs=20), train=data, test=data, model=build)
    assert given["target_location"] == pytest.approx([float(data.targets.mean())])
    assert given["target_scale"] == pytest.approx([float(data.targets.std(correction=0))])
    assert "class_weights" not in given
    assert result.scores["test"]["pearson"] > 0.5
    assert result.scores["test"]["mae"] < 16


@pytest.mark.parametrize(("task", "score"), [("regression", "pearson"), ("multilabel", "macro_f1")])
def test_other_tasks(make_data, make_config, toy_model, task, score):
    data = make_data(100, task=task, num_outputs=2, ragged=True)
    result = fit(make_config(epochs=15), train=data, model=toy_model)
    assert result.scores["validation"][score] > 0.4


def test_reversal_schedule_reaches_the_model(make_data, make_config, toy_model):
    strengths = []

    def build(**settings):
        model = toy_model(**settings)
        model.reversal.register_forward_hook(
            lambda module, *_: strengths.append(float(module.strength)) if torch.is_grad_enabled() else None
        )
        return model

    overrides = ["training.reversal.schedule=linear", "training.reversal.strength=0.5", "training.selection=last"]
    fit(make_config(*overrides), train=make_data(), model=build)
    assert strengths == pytest.approx([0.5 * step / 12 for step in range(12)])

    strengths.clear()
    with pytest.warns(AdversaryWarning, match="'reversal' has no strength"):
        fit(make_config("training.reversal.schedule=none", epochs=1), train=make_data(), model=build)
    assert set(strengths) == {0.0}


def test_missing_modalities_and_single_sample_batches(make_data, make_config, toy_model):
    data = make_data(33, missing=0.4)
    result = fit(make_config("data.batch_size=8", "training.selection=last"), train=data, test=data, model=toy_model)
    assert math.isfinite(result.history[-1]["train/total"])


def test_settings_of_the_data_cannot_be_set(make_data, make_config, toy_model):
    with pytest.raises(SettingError, match=r"model.task comes from the data set"):
        fit(make_config("model.task=regression"), train=make_data(), model=toy_model)


def test_nan_in_the_training_data_is_named(make_data, make_config, toy_model):
    data = make_data()
    data[5].inputs["b"][2, 1] = float("nan")
    with pytest.raises(DataError, match=r"sample '5' holds NaN or infinity in 'b'"):
        fit(make_config(), train=data, model=toy_model)


def test_divergence_is_named(make_data, make_config, toy_model):
    config = make_config("optim.name=sgd", "optim.lr=1e30", "optim.clipping=none")
    with pytest.raises(SettingError, match=r"the loss became (nan|inf) in epoch \d; lower optim.lr"):
        fit(config, train=make_data(task="regression"), model=toy_model)


def test_unknown_monitor(make_data, make_config, toy_model):
    with pytest.raises(SettingError, match="nothing is logged as 'val/acuracy'; did you mean 'val/accuracy'"):
        fit(make_config("training.monitor=val/acuracy"), train=make_data(), model=toy_model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": "regression"}, "validation must be of the kind of train"),
        ({"test": "empty"}, "test has no sample"),
        ({"train": "unknown"}, "train: sample '0' has no target"),
    ],
)
def test_data_that_does_not_fit(make_data, make_config, toy_model, change, message):
    kinds = {
        "regression": make_data(task="regression"),
        "empty": make_data().subset([]),
        "unknown": MultimodalDataset.from_arrays({"a": torch.ones(2, 3, 4)}, task="classification", num_outputs=3),
    }
    given = {"train": make_data(), **{part: kinds[kind] for part, kind in change.items()}}
    with pytest.raises(DataError, match=message):
        fit(make_config(), model=toy_model, **given)


def test_balanced_weights_need_classes(make_data, make_config, toy_model):
    with pytest.raises(SettingError, match="class_weights=balanced is for classification"):
        fit(make_config("training.class_weights=balanced"), train=make_data(task="regression"), model=toy_model)

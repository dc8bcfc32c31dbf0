"""What each departure from the released code changes, one at a time: accuracy, and what shared codes tell.

    python -m benchmarks.deviations rtil --data FOLDER/utd_mhad.npz      # likewise misa, mea: UTD-MHAD
    python -m benchmarks.deviations rtil                                 # likewise misa: Gaussian data of known factors
    python -m benchmarks.deviations rtil --quick                         # one epoch each: does every row run?

UTD-MHAD, training subjects only: a seed leaves one of the four out of training (the first seed subject 7, then 5, then
3) and scores on that person; the test subjects are not read. Clips, features, augmentation and optimiser are those of
`benchmarks.utd_mhad`, with fewer epochs. Gaussian data: world, sizes, optimiser and probes are those of
`benchmarks.disentanglement`; all clips have the same length, so rows about lengths are left out.

Every row is compared with its reference on the same seeds. *Modality read* is that of a probe of the shared codes of
clips that were not trained with (0 chance, 1 without fail). Finished runs are kept in `--cache`, so an interrupted
benchmark goes on where it stopped.
"""

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from torchmetrics.functional.classification import multiclass_f1_score

from benchmarks import disentanglement, utd_mhad
from benchmarks._measure import write
from benchmarks._runs import cached, in_processes, over_seeds, parse, summary
from benchmarks.utd_mhad_data import MODALITIES, NUM_ACTIONS, TRAINING_SUBJECTS
from mmdisentangle.evaluation import predict
from mmdisentangle.evaluation.codes import collect_codes
from mmdisentangle.models import MISA

CONSTANT_REVERSAL = ("training.reversal.schedule=none",)
RECORDED = ("utd_mhad",)
PROBES = ("linear", "nonlinear")
# Compared with the reference row, seed by seed.
READ = ("modality_in_shared", "modality_in_shared_linear")
ON_UTD_MHAD = ("accuracy", *READ)
ON_GAUSSIAN = ("pearson", *READ, "private_in_shared")
ALSO_KEPT = ("training_accuracy", "weighted_f1", "weighted_f1_swapped")


@dataclass(frozen=True)
class Change:
    """Settings of the model, and of the training, that differ from the default.

    Args:
        settings: of the model.
        training: of the training.
        aligned: all streams are resampled to the length of the first.
        against: the row to compare with; the default where it is not there.
        data: where the row is measured.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    training: tuple[str, ...] = ()
    aligned: bool = False
    against: str = "default"
    data: tuple[str, ...] = ("utd_mhad", "gaussian")


def rtil(modalities: Sequence[str]) -> dict[str, Change]:
    """The last modality stands for the visual one. Gaussian clips have one length: nothing is padded or resampled."""
    aligned: dict[str, Any] = {"aligned": True, "against": "aligned"}
    published = {"published": True}
    # What the single rows show to hold up the training most.
    trainable = {
        "position_scale": 0.2,
        "feedforward_features": 256,
        "block_attention_dropout": 0.0,
        "head_dropout": 0.1,
        "discriminator_loss": "cross_entropy",
        "detach_reconstruction_target": True,
    }
    return {
        "default": Change(),
        "aligned": Change(aligned=True, data=RECORDED),
        "gate": Change({"gate": "released"}),
        "share_gate_head": Change({"share_gate_head": True}),
        "reverse_private": Change({"reverse_private": True}),
        "reconstruction": Change({"reconstruction": "pooled"}),
        "temporal": Change({"temporal_modalities": tuple(modalities[-1:]), "temporal_aggregation": "batch"}),
        "honour_masks": Change({"honour_masks": False}, data=RECORDED, **aligned),
        "gate_alignment": Change({"gate_alignment": "frame"}, **aligned),
        "encoder": Change({"encoder": "released"}),
        "discriminator_loss": Change({"discriminator_loss": "cosine_margin"}),
        "detach_reconstruction_target": Change({"detach_reconstruction_target": False}),
        "code_gain": Change({"code_gain": 1.0}),
        "position_scale": Change({"position_scale": 1.0}),
        "code_gain, position_scale": Change({"code_gain": 1.0, "position_scale": 1.0}),
        "dropouts": Change({"feedforward_features": 2048, "block_attention_dropout": 0.1, "head_dropout": 0.6}),
        "reversal": Change(training=CONSTANT_REVERSAL),
        "published": Change(published, CONSTANT_REVERSAL, **aligned),
        "published, rate 3e-4": Change(published, (*CONSTANT_REVERSAL, "optim.lr=3e-4"), **aligned),
        "published, rate 1e-4": Change(published, (*CONSTANT_REVERSAL, "optim.lr=1e-4"), **aligned),
        "published, trainable": Change({**published, **trainable}, CONSTANT_REVERSAL, **aligned),
    }


def misa(modalities: Sequence[str]) -> dict[str, Change]:
    """The first modality stands for the text, whose features the released program averages."""
    return {
        "default": Change(),
        "temporal_encoder": Change({"temporal_encoder": "lstm"}),
        "averaged_modalities": Change({"averaged_modalities": tuple(modalities[:1])}),
        "head_dropout": Change({"head_dropout": 0.5}),
        "feedforward": Change({"feedforward_features": 2048, "fusion_attention_dropout": 0.1}),
        "code_gain": Change({"code_gain": 1.0}),
        "terms_reach_encoders": Change({"terms_reach_encoders": True}),
        "terms_reach_encoders, lstm": Change({"terms_reach_encoders": True, "temporal_encoder": "lstm"}),
        "difference_form": Change({"difference_form": "correlation"}),
        "preset": Change({"preset": "mosi"}),
        "preset, rate 1e-4": Change({"preset": "mosi"}, ("optim.lr=1e-4",)),
    }


def mea(modalities: Sequence[str]) -> dict[str, Change]:
    """What the paper prints where the default differs, what it leaves open, its ablations."""
    return {
        "default": Change(),
        "attention_mode": Change({"attention_mode": "paper"}),
        "attention_scale": Change({"attention_scale": "model"}),
        "temporal_encoder": Change({"temporal_encoder": "lstm"}),
        "window": Change({"window": 8}),
        "output_projection": Change({"output_projection": True}),
        "attention_bias": Change({"attention_bias": True}),
        "feedforward_features": Change({"feedforward_features": 160}),
        "dropout": Change({"dropout": 0.1}),
        "hca_layers": Change({"hca_layers": 2}),
        "update_sources": Change({"hca_layers": 2, "update_sources": True}, against="hca_layers"),
        "self_loops": Change({"self_loops": False}),
        "readout": Change({"readout": "paper"}),
        "self_loops, readout": Change({"self_loops": False, "readout": "paper"}),
        "head_features": Change({"head_features": 64}),
        "predict_attention": Change({"predict_attention": False}),
        "weighting": Change({"weighting": "off"}),
        "mixed": Change({"mixed": False}),
        "coarse": Change({"coarse": False}),
        "fine": Change({"fine": False}),
        "exclusive": Change({"codes": "exclusive"}),
        "agnostic": Change({"codes": "agnostic"}),
        "disparity_unbiased": Change({"disparity_unbiased": True}),
        "disparity_normalize": Change({"disparity_normalize": True}),
        "disparity_kernel": Change({"disparity_kernel": "rbf"}),
        "cka": Change({"disparity": "cka"}),
        "orthogonality": Change({"disparity": "orthogonality"}),
        "disparity_weight": Change({"disparity_weight": 0.0}),
        "omega_grad": Change({"omega_grad": True}),
        "weight_on": Change({"weight_on": "input"}),
        "discriminator_features": Change({"discriminator_features": 16}),
        "reversal": Change(training=("training.reversal.schedule=dann",)),
        "code_gain": Change({"code_gain": 1.0}),
        "preset": Change({"preset": "mosi"}),
    }


@dataclass(frozen=True)
class Method:
    """A model: its rows, its defaults on both data, and for how many epochs it trains on UTD-MHAD.

    MEA has none on Gaussian data: with default and with published settings nothing is hidden there, see
    `benchmarks.disentanglement`.
    """

    rows: Callable[[Sequence[str]], dict[str, Change]]
    utd_mhad: utd_mhad.Row
    epochs: int
    gaussian: disentanglement.Row | None


_MISA = partial(MISA, hidden_features=utd_mhad.HIDDEN, label_smoothing=utd_mhad.SMOOTHING)
METHODS = {
    "rtil": Method(rtil, utd_mhad.ROWS["rtil"], 20, disentanglement.ROWS["RTIL"]),
    "misa": Method(misa, utd_mhad.Row(_MISA), 15, disentanglement.ROWS["MISA"]),
    "mea": Method(mea, utd_mhad.ROWS["mea"], 10, None),
}
# What is published comes with sizes of its own but for these.
COMMON = ("hidden_features", "label_smoothing")


def rows_on(data: str, method: str) -> dict[str, Change]:
    """Rows of a method on ``"utd_mhad"`` or ``"gaussian"`` data."""
    widths = MODALITIES if data == "utd_mhad" else disentanglement.WIDTHS
    rows = METHODS[method].rows(tuple(widths))
    return {name: change for name, change in rows.items() if data in change.data}


def settings_of(default: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Settings of the model in a row."""
    published = "published" in change.settings
    return {key: value for key, value in default.items() if not published or key in COMMON} | {**change.settings}


def on_utd_mhad(method: str, name: str, seed: int, data: Path, settings: list[str]) -> dict[str, Any]:
    """Train one row without one person and judge it on that person's clips."""
    # The probes' matrices are small: threads of NumPy would only wait for each other.
    threadpool_limits(1)
    change, default = rows_on("utd_mhad", method)[name], METHODS[method].utd_mhad
    assert isinstance(default.model, partial)
    model = partial(default.model.func, **settings_of(default.model.keywords, change))
    # What is changed comes last, and so counts.
    row = utd_mhad.Row(model, aligned=change.aligned, settings=(*default.settings, *change.training))
    left_out = TRAINING_SUBJECTS[-1 - seed % len(TRAINING_SUBJECTS)]
    rest = tuple(subject for subject in TRAINING_SUBJECTS if subject != left_out)
    with warnings.catch_warnings():
        # On purpose: masks are ignored where honour_masks is False, and nothing is hidden without agnostic codes.
        warnings.filterwarnings("ignore", "RTIL: masks and present are ignored", UserWarning)
        warnings.filterwarnings("ignore", "adversary 'discriminator' was never connected")
        result, scored = utd_mhad.trained(row, seed, data, {}, settings, rest, (left_out,))
        codes = collect_codes(result.model, scored, standardizer=result.standardizer)
        predicted = predict(result.model, scored, standardizer=result.standardizer)
    # Without agnostic codes there is nothing to read.
    readable = change.settings.get("codes") != "exclusive"
    read = [disentanglement.modality_read(codes, "shared", probe) for probe in PROBES] if readable else None
    weighted = partial(multiclass_f1_score, num_classes=NUM_ACTIONS, average="weighted")
    answers, targets = predicted.prediction.argmax(-1), predicted.target
    return {
        "row": name,
        "seed": seed,
        "left_out": left_out,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "accuracy": result.scores["test"]["accuracy"],
        "training_accuracy": result.history[-1]["train/accuracy"],
        "weighted_f1": float(weighted(answers, targets)),
        "weighted_f1_swapped": float(weighted(targets, answers)),
        "modality_in_shared": read and max(read),
        "modality_in_shared_linear": read and read[0],
    }


def on_gaussian(method: str, name: str, seed: int, settings: list[str]) -> dict[str, Any]:
    """Train one row in the world of a seed and judge its codes."""
    change, default = rows_on("gaussian", method)[name], METHODS[method].gaussian
    assert default is not None
    row = disentanglement.Row(method, settings_of(default.settings, change), (*default.training, *change.training))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RTIL: masks and present are ignored", UserWarning)
        return {"row": name, **disentanglement.run(row, seed, settings)}


def effects(rows: Mapping[str, Any], changes: Mapping[str, Change], scores: Sequence[str]) -> dict[str, Any]:
    """Differences of every row to its reference, seed by seed."""
    found: dict[str, Any] = {}
    for name, row in rows.items():
        against = changes[name].against if changes[name].against in rows else "default"
        if name == against:
            continue
        found[name] = {"against": against}
        for score in scores:
            pairs = zip(row[score]["values"], rows[against][score]["values"], strict=True)
            differences = [mine - other for mine, other in pairs if mine is not None]
            if differences:
                found[name][score] = over_seeds(differences)
    return found


def told(method: str, result: Mapping[str, Any]) -> str:
    scores = (f"{name} {result[name]:.3f}" for name in (*ON_UTD_MHAD, *ON_GAUSSIAN) if result.get(name) is not None)
    return f"{method}, {result['row']}, seed {result['seed']}: {', '.join(dict.fromkeys(scores))}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("method", choices=METHODS)
    options.add_argument("--data", type=Path, help="utd_mhad.npz; without it, Gaussian data")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    options.add_argument("--cache", type=Path, default=Path("runs/deviations"), help="where finished runs are kept")
    options.add_argument("--quick", action="store_true", help="one seed, one epoch, nothing kept")
    given = parse(options)
    method = METHODS[given.method]
    if given.data is None:
        if method.gaussian is None:
            options.error(f"{given.method} is measured on UTD-MHAD only: give --data.")
        kind, scores = "gaussian", ON_GAUSSIAN
        settings = ["training.max_epochs=1"] if given.quick else []
        judge = partial(on_gaussian, given.method, settings=settings)
        said = [*disentanglement.SETTINGS, *settings]
    else:
        kind, scores = "utd_mhad", ON_UTD_MHAD
        said = settings = [*utd_mhad.SETTINGS, f"training.max_epochs={1 if given.quick else method.epochs}"]
        judge = partial(on_utd_mhad, given.method, data=given.data, settings=settings)
    changes = rows_on(kind, given.method)
    calls = []
    for seed in range(1 if given.quick else given.seeds):
        for name in changes:
            call = partial(judge, name=name, seed=seed)
            file = given.cache / kind / given.method / f"{name}-{seed}.json".replace(" ", "_")
            calls.append(call if given.quick else partial(cached, file, call, partial(told, given.method)))
    runs = in_processes(calls, given.workers)
    also_kept = [score for score in ALSO_KEPT if score in runs[0]]
    rows = {name: summary([one for one in runs if one["row"] == name], (*scores, *also_kept)) for name in changes}
    found = effects(rows, changes, scores)
    for name, row in rows.items():
        task = row[scores[0]]
        effect = (f"{score} {found[name][score]['mean']:+.3f}" for score in scores if score in found.get(name, ()))
        print(f"{name:30} {scores[0]} {task['mean']:.3f} +- {task['std']:.3f}; {', '.join(effect)}")
    if not given.quick:
        made = {
            name: {"settings": {**change.settings}, "training": change.training} for name, change in changes.items()
        }
        content = {"settings": said, "changes": made, "rows": rows, "effects": found}
        write(f"deviations_{kind}_{given.method}", content)


if __name__ == "__main__":
    main()

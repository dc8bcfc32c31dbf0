import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmdisentangle import create_model, list_models
from mmdisentangle.data import Standardizer
from mmdisentangle.errors import DataError, DtypeError, ModalityError, SettingError, ShapeError
from mmdisentangle.evaluation import leakage, verdicts, write_report
from mmdisentangle.evaluation.codes import codes_of_tensors, collect_codes
from mmdisentangle.evaluation.part_use import use_by_model
from tests.small_models import EXACT

NAMES = ("text", "audio", "vision")
# The smallest p-value of two probes is 2 / 60.
QUICK = {"permutations": 59}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def codes(count=150, width=4, offset=0.0):
    """Shared codes with one content, apart by ``offset``; private codes with contents of their own, far apart."""
    content = normal(count, width)
    shared = {m: content + 0.2 * normal(count, width, seed=k + 1) + offset * k for k, m in enumerate(NAMES)}
    private = {m: normal(count, width, seed=k + 10) + 8 * k for k, m in enumerate(NAMES)}
    return shared, private, content


def status(report):
    return {verdict.question: verdict.status for verdict in verdicts(report)}


MODALITY, PRIVATE = "Are the shared codes free of the modality?", "Do the private codes tell the modalities apart?"
COLLAPSE, TASK = "Do the codes say anything at all?", "Where is the task?"
USE, INDEPENDENT = "Does the model use both parts?", "Are shared and private codes independent?"
AGREE = "Do the modalities say the same in the shared space?"


def test_perfect_codes_are_found_perfect():
    shared, private, content = codes()
    found = leakage(shared, private, targets=content[:, 0], **QUICK)
    assert abs(found.modality_leakage) < 0.1
    assert found.modality_in_private == 1.0
    assert found.probe("target", "shared").best.score > 0.95
    assert found.probe("target", "private").best.score < 0.1
    assert status(found) == dict.fromkeys((COLLAPSE, MODALITY, PRIVATE, TASK, INDEPENDENT, AGREE), "good") | {
        USE: "mixed"
    }
    use = {row.part: row for row in found.use}
    assert use["shared"].score > 0.95
    assert use["shared"].exchanged < 0.1
    assert use["private"].exchanged == pytest.approx(use["private"].score, abs=0.01)
    assert {row.through for row in found.use} == {"probe"}


def test_leaking_codes_are_named():
    shared, private, _ = codes(offset=2.0)
    found = leakage(shared, private, **QUICK)
    assert found.modality_leakage > 0.7
    assert found.probe("modality", "shared").p_value == 2 / 60
    assert status(found)[MODALITY] == "bad"
    told = next(verdict for verdict in verdicts(found) if verdict.question == MODALITY)
    assert "where chance is 0.33" in told.answer
    assert "DiscriminatorMonitor" in told.advice


def test_a_leak_that_no_line_shows_is_found():
    """Same mean, other variance."""
    shared, private, _ = codes(300)
    shared["audio"] = 3 * normal(300, 4, seed=50)
    shared["vision"] = 0.3 * normal(300, 4, seed=51)
    found = leakage(shared, private, **QUICK).probe("modality", "shared")
    assert found.linear.normalized < 0.15
    assert found.nonlinear.normalized > 0.5
    assert found.best is found.nonlinear


def test_collapsed_codes_are_named():
    shared, private, _ = codes()
    constant = {m: np.full_like(x, 0.5) + 1e-9 * normal(*x.shape) for m, x in shared.items()}
    faint = {m: 1000 + x for m, x in shared.items()}
    assert status(leakage(faint, private, **QUICK))[COLLAPSE] == "mixed"
    found = leakage(constant, private, **QUICK)
    assert status(found)[COLLAPSE] == "bad"
    assert status(found)[MODALITY] == "unknown"
    assert [row.collapsed for row in found.health] == [True] * 3 + [False] * 3
    assert [row.effective_rank for row in found.health[:3]] == [0.0] * 3
    assert all(np.isnan(pair.cka) for pair in found.dependence if pair.first.part == "shared")
    line = {m: x[:, :1] * np.ones((1, 8)) for m, x in shared.items()}
    thin = leakage(line, {m: normal(150, 8, seed=k) + 9 * k for k, m in enumerate(NAMES)}, **QUICK)
    assert status(thin)[COLLAPSE] == "mixed"
    assert thin.health[0].effective_rank == pytest.approx(1.0, abs=1e-6)


def test_effective_rank_and_constant_features_in_closed_form():
    """Four directions of equal variance, one of them twice, one constant feature."""
    square = np.linalg.qr(normal(200, 4) - normal(200, 4).mean(0))[0]
    square -= square.mean(0)
    block = np.concatenate([np.linalg.qr(square)[0], np.ones((200, 1))], 1)
    private = {"a": normal(200, 3), "b": normal(200, 3, seed=1) + 5}
    health = leakage({"a": block, "b": block}, private, **QUICK).health[0]
    assert (health.features, health.constant_features) == (5, 1)
    assert health.effective_rank == pytest.approx(4.0, rel=1e-3)


def test_dependent_parts_are_named():
    shared, private, content = codes()
    private["audio"] = 8 + content**2
    found = leakage(shared, private, **QUICK)
    pair = next(p for p in found.dependence if str(p.first) == "shared[audio]" and str(p.second) == "private[audio]")
    assert abs(pair.cka) < 0.2
    assert pair.distance_correlation > 0.1
    assert pair.p_value == 1 / 60
    assert status(found)[INDEPENDENT] in ("mixed", "bad")
    # 19 permutations cannot say that of one pair in three.
    assert status(leakage(shared, private, permutations=19))[INDEPENDENT] == "unknown"


def test_factors_are_looked_for_in_every_block():
    shared, private, content = codes(300)
    factors = {"shared": content[:, :2], "audio": private["audio"], "speaker": np.arange(300) % 3}
    found = leakage(shared, private, factors=factors, **QUICK)
    assert found.probe("shared", "shared[vision]").best.score > 0.8
    assert found.probe("audio", "private[audio]").best.score > 0.99
    assert found.probe("audio", "shared[audio]").best.score < 0.1
    assert found.probe("speaker", "private[text]").best.metric == "balanced accuracy"
    told = status(found)
    assert told["Where is the factor 'shared'?"] == told["Where is the factor 'audio'?"] == "good"
    assert told["Where is the factor 'speaker'?"] == "unknown"
    leaking = {**shared, "audio": shared["audio"] + private["audio"]}
    assert status(leakage(leaking, private, factors=factors, **QUICK))["Where is the factor 'audio'?"] == "mixed"


def test_padding_and_missing_modalities_are_invisible():
    shared, private, content = codes(60)
    lengths = np.random.default_rng(0).integers(0, 6, 60)
    masks = {"text": np.arange(5) < lengths[:, None], "audio": np.arange(60) % 4 > 0}

    def frames(x, filler):
        long = np.repeat(x["text"][:, None], 5, 1) + 0.1 * normal(60, 5, 4)
        audio = x["audio"].copy()
        long[~masks["text"]], audio[~masks["audio"]] = filler, filler
        return {**x, "text": long, "audio": audio}

    clean, dirty = (
        leakage(frames(shared, f), frames(private, f), masks=masks, targets=content[:, 0], **QUICK)
        for f in (0.0, np.nan)
    )
    assert clean == dirty
    with pytest.raises(DataError, match="the shared codes of 'text' hold NaN"):
        leakage(frames(shared, np.nan), private, **QUICK)


def test_changes_in_time_in_closed_form():
    """Frames that alternate between two values, and frames that stay."""
    steps = np.tile(np.array([1.0, -1.0]), 5)[None, :, None] * np.ones((8, 1, 2))
    still = np.arange(8.0)[:, None, None] * np.ones((1, 10, 2))
    shared, private = {"a": steps, "b": still}, {"a": still, "b": normal(8, 10, 2)}
    change = codes_of_tensors(shared, private, inputs=shared).change
    assert change["shared"]["a"] == pytest.approx(2.0)
    assert change["shared"]["b"] == 0.0
    assert change["input"] == change["shared"]
    assert change["private"]["b"] == pytest.approx(1.0, abs=0.15)
    masks = {"a": np.ones((8, 10), bool)}
    masks["a"][:, ::2] = False
    assert np.isnan(codes_of_tensors(shared, private, masks=masks).change["shared"]["a"])
    constant = {"a": np.ones((8, 10, 2)), "b": still}
    assert np.isnan(codes_of_tensors(constant, private).change["shared"]["a"])


def test_persons_are_held_out():
    """Codes that carry nothing but the person."""
    person = np.arange(120) // 10
    target = np.random.default_rng(1).permutation(12)[person] % 2
    shared = {m: np.eye(12)[person] + 0.01 * normal(120, 12, seed=k) for k, m in enumerate(NAMES)}
    private = {m: normal(120, 3, seed=k) for k, m in enumerate(NAMES)}
    free = leakage(shared, private, targets=target, **QUICK)
    held = leakage(shared, private, targets=target, groups=[f"p{n}" for n in person], **QUICK)
    assert free.probe("target", "shared").best.score > 0.95
    assert held.probe("target", "shared").best.score < 0.8
    assert (free.groups, held.groups) == (120, 12)


@pytest.fixture(scope="module")
def trained():
    from mmdisentangle.data import make_shared_private

    drawn = make_shared_private(60, modalities={"a": 4, "b": 3}, lengths={"a": 6, "b": 4}, ragged=True, missing=0.2)
    torch.manual_seed(0)
    return create_model("rtil", modalities={"a": 4, "b": 3}, **EXACT["rtil"]), drawn


def test_a_model_and_its_data(trained):
    model, drawn = trained
    model.train()
    standardizer = Standardizer.fit(drawn.dataset)
    found = leakage(model, drawn.dataset, standardizer=standardizer, factors=drawn.factors, **QUICK)
    assert model.training
    assert found.modalities == ("a", "b")
    assert {row.through for row in found.use} == {"model"}
    assert {row.metric for row in found.use} == {"mae"}
    assert set(found.change) == {"shared", "private", "input"}
    # The same through plain tensors and through batches.
    collected = collect_codes(model, drawn.dataset, standardizer=standardizer, batch_size=7)
    plain = leakage(
        collected.shared,
        collected.private,
        masks=collected.present,
        targets=collected.targets,
        factors=drawn.factors,
        **QUICK,
    )
    loader = DataLoader(
        standardizer.apply(drawn.dataset), batch_size=60, collate_fn=drawn.dataset.collate, shuffle=False
    )
    batches = leakage(model, loader, factors=drawn.factors, task="regression", **QUICK)
    for other in (plain, batches):
        for pair, expected in zip(other.probes, found.probes, strict=True):
            assert pair.best.score == pytest.approx(expected.best.score, abs=1e-3)


def test_a_model_that_ignores_a_part_is_seen_to_ignore_it(trained):
    model, drawn = trained
    with torch.no_grad():
        for head in model.head:
            if isinstance(head, torch.nn.Linear):
                head.weight.zero_()
    used = use_by_model(model, drawn.dataset, task="regression", draws=2)
    assert all(row.exchanged == row.score and row.deviation == 0 for row in used)


def test_a_model_that_cannot_be_opened_is_judged_by_probes():
    class Own(torch.nn.Module):
        def forward(self, inputs, masks, present=None):
            from types import SimpleNamespace

            mean = {name: x.mean(1)[:, :3] for name, x in inputs.items()}
            return SimpleNamespace(shared=mean, private=mean, prediction=mean["a"][:, :1])

    from mmdisentangle.data import make_shared_private

    found = leakage(Own(), make_shared_private(40, modalities={"a": 4, "b": 3}).dataset, **QUICK)
    assert {row.through for row in found.use} == {"probe"}


@pytest.mark.parametrize("name", list_models())
def test_every_model_of_the_zoo_is_judged(name, trained):
    _, drawn = trained
    torch.manual_seed(0)
    model = create_model(name, modalities={"a": 4, "b": 3}, **EXACT[name])
    found = leakage(model, drawn.dataset, permutations=5)
    split = name in ("rtil", "mea", "misa")
    assert {row.through for row in found.use} == {"model" if split else "probe"}
    assert len(verdicts(found)) >= 5


class Silent(torch.nn.Module):
    def forward(self, inputs, masks, present=None):
        return torch.zeros(1)


def test_the_page_stands_by_itself(tmp_path, trained):
    model, drawn = trained
    found = leakage(model, drawn.dataset, factors=drawn.factors, **QUICK)
    page = write_report(found, tmp_path / "report", title="RTIL <on> toys & more")
    text = page.read_text()
    assert "RTIL &lt;on&gt; toys &amp; more" in text
    body = text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace('"http://www.w3.org/1999/xlink"', "")
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in body, outside
    assert text.count("<svg") == text.count("</svg>") == 5
    for verdict in verdicts(found):
        assert verdict.question.replace("'", "&#39;") in text
    content = json.loads((tmp_path / "report" / "report.json").read_text(), parse_constant=pytest.fail)
    assert content["title"] == "RTIL <on> toys & more"
    assert len(content["verdicts"]) == len(verdicts(found))
    assert content["probes"][0]["nonlinear"]["normalized"] == found.probes[0].nonlinear.normalized
    assert content["health"][0]["block"] == "shared[a]"
    again = write_report(found, tmp_path / "again", title="RTIL <on> toys & more")
    assert again.read_bytes() == page.read_bytes()


ALIVE = {"above_chance": 0.3, "probe": 0.6, "strength": 0.5, "parameter_gradient": 0.2, "gradient": 0.1}


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({}, "good", "Yes: gradient .* 0.1"),
        ({"above_chance": 0.0, "probe": 0.3}, "good", "Yes"),
        ({"above_chance": 0.0, "probe": 0.9}, "bad", "a fresh linear probe .* 0.90"),
        ({"strength": 0.0}, "bad", "its strength is 0"),
        ({"gradient": 0.0}, "bad", "gets no gradient"),
        ({"parameter_gradient": 0.0}, "bad", "gets no gradient"),
        ({"parameter_gradient": None}, "bad", "none of its parameters is trained"),
        ({"gradient": math.nan}, "unknown", "undefined"),
        ({"accuracy": 1.0, "above_chance": 1.0, "loss_share": 1e-3, "probe": 1.0}, "bad", "It always wins"),
    ],
)
def test_what_was_seen_of_an_adversary_is_judged(changes, expected, words):
    shared, private, _ = codes(20)
    seen = {name: value for name, value in {**ALIVE, **changes}.items() if value is not None}
    found = replace(leakage(shared, private, **QUICK), adversaries={"d": seen})
    told = next(verdict for verdict in verdicts(found) if verdict.question == "Is the adversary 'd' alive?")
    assert told.status == expected
    assert re.search(words, told.answer)


def test_the_same_seed_gives_the_same_report():
    shared, private, content = codes(60)
    first, again = (leakage(shared, private, targets=content[:, 0], seed=4, max_samples=40, **QUICK) for _ in range(2))
    assert first == again
    assert first.samples == 40


def test_too_few_to_tell_is_said_so():
    """Ten samples, or four persons of one class each, can show nothing at 5 %, whatever the codes are."""
    shared, private, _ = codes(10)
    few = status(leakage(shared, private, permutations=19))
    assert few[MODALITY] == few[PRIVATE] == few[INDEPENDENT] == "unknown"
    person = np.repeat(np.arange(4), 30)
    shared, private, _ = codes(120)
    told = leakage(
        {m: x + 9 * (person % 2)[:, None] for m, x in shared.items()},
        private,
        targets=person % 2,
        groups=person,
        **QUICK,
    )
    assert told.probe("target", "shared").best.score == 1.0
    assert told.probe("target", "shared").least_p > 0.2
    assert status(told)[TASK] == "unknown"
    # Equal parts of four persons are no independent ones.
    same = leakage(shared, {m: x + 3 * k for k, (m, x) in enumerate(shared.items())}, groups=person, **QUICK)
    assert status(same)[INDEPENDENT] in ("unknown", "bad")
    equal = leakage(shared, {m: x + 3 * k for k, (m, x) in enumerate(shared.items())}, **QUICK)
    assert status(equal)[INDEPENDENT] == "bad"


def test_noise_is_seldom_said_to_leak():
    alarms = 0
    for seed in range(20):
        noise = {m: normal(25, 8, seed=100 * seed + k) for k, m in enumerate(NAMES[:2])}
        told = status(
            leakage(noise, {m: x[:, :2] + 9 * k for k, (m, x) in enumerate(noise.items())}, seed=seed, **QUICK)
        )
        alarms += told[MODALITY] in ("mixed", "bad")
    assert alarms <= 4


def test_codes_that_are_constant_for_each_modality_tell_nothing_else():
    _, private, _ = codes(60)
    found = leakage({m: np.full((60, 4), 1.0 + k) for k, m in enumerate(NAMES)}, private, **QUICK)
    assert found.modality_leakage == 1.0
    assert status(found)[MODALITY] == status(found)[COLLAPSE] == "bad"


def test_which_modalities_are_there_is_not_what_codes_say():
    target = np.arange(200) % 2
    noise = [{m: normal(200, 4, seed=10 * part + k) + 3 for k, m in enumerate(NAMES)} for part in (0, 1)]
    found = leakage(*noise, targets=target, masks={"audio": target == 0}, **QUICK)
    assert found.probe("target", "both").best.normalized < 0.25


def test_codes_are_exchanged_over_folds():
    """One class a person: within a fold there would be nothing to exchange."""
    person = np.arange(60) // 5
    target = np.random.default_rng(0).permutation(12)[person] % 2
    shared = {m: target[:, None] + 0.1 * normal(60, 3, seed=k) for k, m in enumerate(NAMES)}
    private = {m: normal(60, 3, seed=k) + 5 * k for k, m in enumerate(NAMES)}
    use = leakage(shared, private, targets=target, groups=person, folds=12, **QUICK).use
    assert use[0].score == 1.0
    assert use[0].exchanged < 0.7


def test_batches_of_one_sample_and_of_classes(trained):
    model, drawn = trained
    ones = [drawn.dataset.collate([drawn.dataset[n]]) for n in range(12)]
    assert {row.through for row in leakage(model, ones, **QUICK).use} == {"probe"}
    labelled = [replace(batch, target=torch.tensor([n % 2])) for n, batch in enumerate(ones)]
    assert collect_codes(model, labelled).task == "classification"


def test_factors_that_are_constant_where_a_modality_is_are_left_out():
    shared, private, _ = codes(60)
    y = np.arange(60) % 2
    found = leakage(shared, private, factors={"y": y}, masks={"audio": y == 0}, **QUICK)
    assert found.probe("y", "shared[audio]") is None
    assert found.probe("y", "shared[text]") is not None
    assert leakage(shared, private, factors={"one": np.ones(60)}, **QUICK).probe("one", "shared[text]") is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_gradients_are_taken_as_they_come(dtype):
    shared, private, content = codes(60)
    tensors = [
        {m: torch.tensor(x, dtype=dtype, requires_grad=True) for m, x in part.items()} for part in (shared, private)
    ]
    found = leakage(*tensors, targets=torch.tensor(content[:, 0], dtype=dtype, requires_grad=True), **QUICK)
    assert found.probe("target", "shared").best.score > 0.8


@pytest.mark.bad_input
def test_wrong_input_gets_one_clear_sentence(trained):
    shared, private, content = codes(30)
    model, drawn = trained
    cases = [
        ((shared, {"text": private["text"]}), {}, ModalityError, "private must have the modalities of shared"),
        (({"a": shared["text"]}, {"a": shared["text"]}), {}, ModalityError, "at least 2 modalities"),
        (
            (shared, {**private, "audio": private["audio"][:5]}),
            {},
            ShapeError,
            r"number of samples, got \[5, 30\]",
        ),
        ((shared, private), {"targets": content[:4, 0]}, ShapeError, "targets must have one entry a sample, 30, got 4"),
        ((shared, private), {"groups": [1, 2]}, ShapeError, "groups must have one entry a sample, 30, got 2"),
        ((shared, private), {"factors": {"f": [1, 2]}}, ShapeError, r"factors\['f'\] must have one row a sample, 30"),
        ((shared, private), {"masks": {"radar": [True]}}, ModalityError, "names the modality 'radar'"),
        ((shared, private), {"targets": ["x"] * 30}, DtypeError, "targets must be numbers"),
        ((shared, private), {"targets": np.ones((30, 2), int)}, ShapeError, r"classes must be \[N\] indices"),
        ((shared, private), {"targets": np.arange(30)}, DataError, "30 classes in 30 samples are too many"),
        ((shared, private), {"targets": np.ones((30, 2, 2))}, ShapeError, r"targets must be \[N\] or \[N, K\]"),
        ((shared, private), {"factors": {"target": content}}, SettingError, "must not be called 'target'"),
        ((shared, private), {"masks": {"text": np.ones(30)}}, DtypeError, r"masks\['text'\] must be boolean"),
        (
            (shared, private),
            {"masks": {"text": np.ones(3, bool)}},
            ShapeError,
            r"\[N, T\] with N = 30",
        ),
        ((shared, private), {"seed": -1}, SettingError, "seed must be an integer"),
        (({m: x[:0] for m, x in shared.items()}, {m: x[:0] for m, x in private.items()}), {}, DataError, "no sample"),
        (({m: x[:, :0] for m, x in shared.items()}, private), {}, ShapeError, r"must be \[N, D\]"),
        ((model, (batch for batch in ())), {}, DtypeError, "that can be read several times, got generator"),
        ((shared, [1, 2]), {}, DtypeError, "private must be a mapping like shared, got list"),
        ((model, private), {}, DtypeError, "the second argument must be a data set, or batches"),
        ((model, drawn.dataset), {"targets": [1]}, SettingError, "come with the data of a model"),
        ((shared, private), {"standardizer": Standardizer.fit(drawn.dataset)}, SettingError, "goes with a model"),
        ((Silent(), drawn.dataset), {}, DataError, "the output of the model has no shared and private codes"),
        ((model, []), {}, DataError, "there is no sample"),
        (({m: x[0] for m, x in shared.items()}, private), {}, ShapeError, r"must be \[N, D\] or \[N, T, D\]"),
    ]
    for arguments, more, error, message in cases:
        with pytest.raises(error, match=message):
            leakage(*arguments, **more, **QUICK)
    late = create_model("late_fusion", modalities={"a": 4, "b": 3})
    with pytest.raises(SettingError, match="LateFusion: does not split its codes"):
        late.register_code_hook(lambda shared, private, masks: (shared, private))

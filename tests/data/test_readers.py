"""Every format: the reader finds exactly what the writer wrote."""

import hashlib
import json
import pickle
import warnings

import numpy as np
import pytest

from mmdisentangle.data import DataFile, describe_file, load_dataset, read_file
from mmdisentangle.errors import DataError, DataWarning, DtypeError, ModalityError, SettingError
from tests.data import research_files
from tests.data.research_files import (
    FRAMES,
    SIZES,
    WIDTHS,
    WRITERS,
    assert_same,
    embeddings,
    mmsa_content,
    record,
    save,
    write_mmsa,
)


def write(tmp_path, format, **settings):
    name, writer = WRITERS[format]
    return tmp_path / name, writer(tmp_path / name, **settings)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("format", WRITERS)
def test_reads_what_was_written(tmp_path, format, missing):
    # A pickle of MISA has no way to say that a modality is missing but an empty array.
    path, written = write(tmp_path, format, missing=missing)
    data = read_file(path)
    assert isinstance(data, DataFile)
    assert data.format == format
    assert list(data.splits) == ["train", "validation", "test"]
    assert_same(data, written)
    gone = sum(len(x) == 0 for x in written["train"].inputs["audio"])
    assert data.findings["splits"]["train"]["modalities"]["audio"]["missing"] == gone
    assert bool(gone) == bool(missing)


@pytest.mark.parametrize("format", ["mmsa", "misa", "npz", "safetensors", "folder"])
def test_raw_text_is_kept(tmp_path, format):
    path, written = write(tmp_path, format)
    assert read_file(path).raw_text == {split: tuple(part.raw_text) for split, part in written.items()}


@pytest.mark.parametrize("format", ["mmsa", "mult", "misa", "folder"])
def test_clips_of_one_video_are_a_group(tmp_path, format):
    path, _ = write(tmp_path, format)
    groups = read_file(path).splits["train"].groups
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups)) == SIZES["train"] // 2


@pytest.mark.parametrize("format", WRITERS)
def test_load_dataset_takes_any_path_and_any_name_of_the_validation_split(tmp_path, format):
    path, written = write(tmp_path, format)
    for name in ("validation", "dev", "valid", "val"):
        np.testing.assert_array_equal(load_dataset(path, name).targets.numpy(), written["validation"].target)
    assert len(load_dataset(str(path))) == SIZES["train"]
    with pytest.raises(DataError, match="no split is called 'evaluation'; the file has train, validation, test"):
        load_dataset(path, "evaluation")


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickle(tmp_path, protocol):
    written = write_mmsa(tmp_path / "own.pkl", protocol=protocol)
    assert_same(read_file(tmp_path / "own.pkl"), written)


@pytest.mark.parametrize("iemocap", [False, True])
def test_mult_of_python_2(tmp_path, iemocap):
    written = research_files.write_mult(tmp_path / "own.pkl", python2=True, iemocap=iemocap)
    data = read_file(tmp_path / "own.pkl")
    assert_same(data, written)
    assert data.splits["train"].task == ("multilabel" if iemocap else "regression")
    assert data.findings["splits"]["train"]["modalities"]["text"]["padding"] == "left"


def test_one_hot_labels_must_be_one_hot(tmp_path):
    research_files.write_mult(tmp_path / "own.pkl", iemocap=True)
    content = pickle.loads((tmp_path / "own.pkl").read_bytes())
    content["valid"]["labels"][1, 2] = 1
    (tmp_path / "own.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"validation: labels of shape \[8, 4, 2\] must be one-hot pairs"):
        read_file(tmp_path / "own.pkl")


def test_targets_of_mmsa(tmp_path):
    written = write_mmsa(tmp_path / "own.pkl", sims=True)["train"].target
    path = tmp_path / "own.pkl"
    assert read_file(path).findings["targets"][:2] == ["regression_labels", "regression_labels_T"]
    np.testing.assert_array_equal(load_dataset(path, target="regression_labels_A").targets.numpy(), -written)
    classes = load_dataset(path, target="classification_labels")
    assert (classes.task, classes.num_outputs) == ("classification", 3)
    np.testing.assert_array_equal(classes.targets.numpy(), 1 + np.sign(written))
    named = load_dataset(path, target="annotations")
    assert named.class_names == ("Negative", "Positive")
    np.testing.assert_array_equal(named.targets.numpy(), written > 0)
    with pytest.raises(SettingError, match="no target is called 'regresion_labels'; did you mean 'regression_labels'"):
        read_file(path, target="regresion_labels")


def test_negative_classes_keep_their_order(tmp_path):
    content = mmsa_content(record())
    for part in content.values():
        part["classification_labels"] = np.sign(part["regression_labels"]).astype(int)
    data = save(tmp_path, content, target="classification_labels").splits["train"]
    assert data.class_names == ("-1", "1")
    assert set(data.targets.tolist()) == {0, 1}


def test_text_bert_is_reported_and_gives_the_length_of_text(tmp_path):
    content = mmsa_content(record())
    # Features of words past the sentence: only the mask tells.
    content["train"]["text"][0, :, :] = 1.0
    content["train"]["text_bert"][0, 1] = [1, 1, 1, 0, 0, 0, 0]
    with pytest.warns(DataWarning, match="train: 'text' has values beyond the declared length: 4 frames of 1 samples"):
        data = save(tmp_path, content)
    assert len(data.splits["train"][0].inputs["text"]) == 3
    assert "token numbers, mask and segments" in data.findings["splits"]["train"]["left_out"]["text_bert"]


def test_aliases_and_extra_modalities(tmp_path):
    written = record()
    content = mmsa_content(written)
    for part in content.values():
        part["visual"], part["acoustic"] = part.pop("vision"), part.pop("audio")
        part["visual_lengths"], part["acoustic_lengths"] = part.pop("vision_lengths"), part.pop("audio_lengths")
        part["pulse"] = np.ones((len(part["text"]), 3, 1))
    content["dev"] = content.pop("valid")
    data = save(tmp_path, content)
    assert_same(data, written)
    assert data.findings["splits"]["train"]["modalities"]["vision"]["declared_lengths"]
    assert "name it in modalities" in data.findings["splits"]["train"]["left_out"]["pulse"]
    chosen = read_file(tmp_path / "own.pkl", modalities=("pulse", "visual")).splits["test"]
    assert chosen.modalities == {"pulse": 1, "vision": WIDTHS["vision"]}


def with_nonfinite():
    content = mmsa_content(record())
    for part in content.values():
        part["audio"][:, :, :] = 2.0
        part["audio"][:, 0, :] = 4.0
        part["audio_lengths"] = [2] * len(part["audio"])
        part["audio"][:, 2:] = 0
        part["audio"][0, 0, :3] = [np.nan, np.inf, -np.inf]
        # What lies in the padding is nobody's business.
        part["audio"][1, 1:, :] = 0
    content["train"]["audio"][1, 0, 0] = -np.inf
    return content


@pytest.mark.parametrize(("rule", "value"), [("zero", 0.0), ("mean", None), ("keep", -np.inf)])
def test_nonfinite_values_are_counted_and_replaced(tmp_path, rule, value):
    content = with_nonfinite()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = save(tmp_path, content, nonfinite=rule)
    assert data.findings["splits"]["train"]["modalities"]["audio"]["nonfinite"] == {"nan": 1, "inf": 1, "-inf": 2}
    assert data.findings["splits"]["test"]["modalities"]["audio"]["nonfinite"] == {"nan": 1, "inf": 1, "-inf": 1}
    messages = [str(warning.message) for warning in caught]
    assert (rule == "keep") == (not messages)
    assert rule == "keep" or "train: 'audio' holds 4 values that are not finite (1 nan, 1 inf, 2 -inf)" in messages[0]
    if value is None:
        frames = content["train"]["audio"][:, :2, 2].astype(np.float64)
        value = frames[np.isfinite(frames)].mean()
    assert data.splits["train"][0].inputs["audio"][0, 2].item() == pytest.approx(value)
    # The mean is that of the training split for every split.
    assert data.splits["test"][0].inputs["audio"][0, 2].item() == pytest.approx(value)


def test_nonfinite_values_can_be_an_error(tmp_path):
    with pytest.raises(DataError, match="train, 'audio': sample 0 holds 3 values that are NaN or infinite; choose"):
        save(tmp_path, with_nonfinite(), nonfinite="error")


def test_values_beyond_float32_are_infinite(tmp_path):
    content = mmsa_content(record())
    content["train"]["audio"] = content["train"]["audio"].astype(np.float64)
    content["train"]["audio"][0, 0, 0] = 1e300
    with pytest.warns(DataWarning, match="1 inf"):
        assert save(tmp_path, content).splits["train"][0].inputs["audio"][0, 0] == 0


def test_sha256(tmp_path):
    path, _ = write(tmp_path, "mmsa")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_file(path, sha256=right.upper()).sha256 == right
    with pytest.raises(DataError, match=rf"the SHA-256 must be {'0' * 64}, got {right}"):
        read_file(path, sha256="0" * 64)
    folder, _ = write(tmp_path, "folder")
    before = read_file(folder).sha256
    next((folder / "train" / "audio").iterdir()).unlink()
    assert read_file(folder).sha256 != before


def test_misa_folder(tmp_path):
    written = research_files.write_misa(tmp_path, emotions=True)
    data = read_file(tmp_path)
    assert_same(data, written)
    assert data.findings["targets"] == ["sentiment", "emotions", "labels"]
    emotions = read_file(tmp_path, target="emotions").splits["test"].targets.numpy()
    np.testing.assert_array_equal(emotions, np.abs(written["test"].target)[:, None].repeat(6, 1))
    assert read_file(tmp_path / "dev.pkl").splits.keys() == {"validation"}


def test_misa_words_as_integers(tmp_path):
    written = research_files.write_misa(tmp_path / "own.pkl", vocabulary=11)
    with pytest.raises(DataError, match=r"'text' cannot be read: the words are integers.*give embeddings="):
        read_file(tmp_path / "own.pkl")
    assert list(read_file(tmp_path / "own.pkl", modalities=("audio", "vision")).splits["train"].modalities) == [
        "audio",
        "vision",
    ]
    assert_same(read_file(tmp_path / "own.pkl", embeddings=embeddings(11, WIDTHS["text"])), written)
    with pytest.raises(DataError, match=r"indices in 0\.\.2, the rows of embeddings"):
        read_file(tmp_path / "own.pkl", embeddings=embeddings(3, 4))


def test_folder_with_classes(tmp_path):
    path, written = write(tmp_path, "folder")
    rows = [line.rsplit(",", 1) for line in (path / "labels.csv").read_text().splitlines()]
    table = [f"{rows[0][0]},mood"] + [f"{start},{'up' if float(score) > 0 else 'down'}" for start, score in rows[1:]]
    (path / "labels.csv").write_text("\n".join(table))
    with pytest.raises(DataError, match=r"must be numbers for a regression.*for class names write dataset.json"):
        read_file(path)
    (path / "dataset.json").write_text(json.dumps({"task": "classification", "class_names": ["up", "down"]}))
    data = read_file(path).splits["train"]
    assert data.class_names == ("up", "down")
    np.testing.assert_array_equal(data.targets.numpy(), written["train"].target <= 0)


@pytest.mark.parametrize("format", WRITERS)
def test_description(tmp_path, format):
    path, written = write(tmp_path, format, missing=0.3)
    data = read_file(path)
    assert json.loads(json.dumps(data.findings)) == data.findings
    text = describe_file(path)
    assert text == data.describe()
    gone = sum(len(x) == 0 for x in written["train"].inputs["audio"])
    for part in (data.sha256, f"{path}: {format}", f"train: {SIZES['train']} samples", f"missing in {gone}", "float32"):
        assert part in text


def change(key, value, split="train"):
    def apply(content):
        if value is None:
            del content[split][key]
        else:
            content[split][key] = value(content[split].get(key))

    return apply


@pytest.mark.parametrize(
    ("apply", "error", "message"),
    [
        (change("text", lambda x: x[:5]), DataError, "train: 'text' has 5 samples and 'audio' has 24; they must agree"),
        (change("regression_labels", lambda x: x[:3]), DataError, "and the target 'regression_labels' has 3"),
        (change("audio_lengths", lambda x: x[:3]), DataError, "and the lengths of 'audio' has 3"),
        (change("raw_text", lambda x: x[:3]), DataError, "and raw_text has 3"),
        (change("id", lambda x: x[:3]), DataError, "and the list of ids has 3"),
        (change("text", None), DataError, "all splits must have the same modalities, but train has audio, vision"),
        (change("text", lambda x: x[0]), DataError, r"'text' must have shape \[N, T, d\], got \[7, 6\]"),
        (change("text", lambda x: x.astype(int)), DtypeError, "'text' must be floating point, got int64"),
        (change("text", lambda x: x.tolist()), DataError, "'text' must be a numpy array .* got a list"),
        (change("text", lambda x: x[:0]), DataError, "'text' holds no sample"),
        (change("text", lambda x: x[..., :2]), DataError, "same number of features in every modality"),
        (change("audio_lengths", lambda x: [-1, *x[1:]]), DataError, "one integer of at least 0 per sample"),
        (change("audio_lengths", lambda x: [0.5, *x[1:]]), DataError, "one integer of at least 0 per sample"),
        (change("audio_lengths", lambda x: [np.inf, *x[1:]]), DataError, "one integer of at least 0 per sample"),
        (change("audio_lengths", lambda x: np.array([2**63] * 24, np.uint64)), DataError, "one integer of at least 0"),
        (
            change("regression_labels", lambda x: x.astype(float) * 1e300),
            DataError,
            "holds 24 values that are NaN or infinite",
        ),
        (change("regression_labels", lambda x: x * np.nan), DataError, "holds 24 values that are NaN or infinite"),
        (change("acoustic", lambda x: 0), DataError, "'audio' is there twice"),
        (
            lambda content: content.update(trian=content.pop("train")),
            DataError,
            "found .*'trian'.*did you mean 'train'",
        ),
        (lambda content: content.update(dev=content["valid"]), DataError, "two validation splits"),
        (lambda content: content.update(test=3), DataError, "test: expected a dict of arrays, got a int"),
    ],
)
def test_contradictions_get_one_clear_sentence(tmp_path, apply, error, message):
    content = mmsa_content(record())
    apply(content)
    with pytest.raises(error, match=message) as caught:
        save(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert "own.pkl" in str(caught.value)


def test_the_target_is_the_first_that_every_split_has(tmp_path):
    content = mmsa_content(record())
    del content["test"]["regression_labels"]
    data = save(tmp_path, content)
    assert (data.findings["target"], data.splits["train"].task) == ("classification_labels", "classification")
    for part in content.values():
        del part["classification_labels"], part["annotations"]
    with pytest.raises(DataError, match="no target is in every split; expected regression_labels"):
        save(tmp_path, content)


def test_a_misspelled_key_is_a_warning(tmp_path):
    content = mmsa_content(record())
    for part in content.values():
        part["audios"] = part.pop("audio")
    with pytest.warns(DataWarning, match="'audios' is left out; is it meant to be 'audio'"):
        save(tmp_path, content)


@pytest.mark.parametrize(
    "content", [{}, {"train": 1}, [], 3, "text", {"train": []}, {"train": [1]}, {"train": [((1,), 2, 3)]}]
)
def test_other_pickles_are_refused(tmp_path, content):
    with pytest.raises(DataError):
        save(tmp_path, content)


def test_unknown_arguments(tmp_path):
    path, _ = write(tmp_path, "mmsa")
    with pytest.raises(SettingError, match="nonfinite must be one of"):
        read_file(path, nonfinite="nan")
    with pytest.raises(SettingError, match=r"format must be one of .* did you mean 'mmsa'"):
        read_file(path, format="msa")
    with pytest.raises(ModalityError, match="no modality 'txt'; did you mean 'text'"):
        read_file(path, modalities=("txt",))
    with pytest.raises(DataError, match="format='npz' is given, but the content is that of a pickle"):
        read_file(path, format="npz")
    with pytest.raises(DataError, match="no 'labels'; found"):
        read_file(path, format="mult")
    with pytest.raises(FileNotFoundError, match="no such data file"):
        read_file(tmp_path / "none.pkl")
    with pytest.raises(SettingError, match="are for files of other formats, not for 'basic-motions'"):
        load_dataset("basic-motions", target="x")


def test_description_reads_well(tmp_path):
    content = mmsa_content(record({"train": 2}, frames=dict.fromkeys(FRAMES, 1)), dict.fromkeys(FRAMES, 1))
    content["train"]["vision"][:] = 0
    content["train"]["regression_labels"] = np.array([-1.0, 2.0])
    text = save(tmp_path, content).describe()
    assert text.splitlines()[2:] == [
        "target regression_labels (also there: classification_labels, annotations)",
        "",
        "train: 2 samples, ids, 1 groups, raw text",
        "  regression: -1 to 2, mean 0.5",
        "  text    float32  [2, 1, 6]  1 frames   no padding",
        "  audio   float32  [2, 1, 4]  1 frames   no padding  lengths declared",
        "  vision  float32  [2, 1, 5]  no frames  no padding  lengths declared; missing in 2",
        "  not read: text_bert, int64 [2, 3, 1]: token numbers, mask and segments for BERT, not a sequence of features",
    ]


@pytest.mark.parametrize("labels", [[0, 10**9], [np.inf, 0.0], [0.5, 1.0]])
def test_class_labels_that_are_none(tmp_path, labels):
    content = mmsa_content(record({"train": 2}))
    content["train"]["classification_labels"] = labels
    with pytest.raises(DataError):
        save(tmp_path, content, target="classification_labels")


@pytest.mark.parametrize("text_bert", [False, True])
def test_arrays_of_objects_are_refused_in_a_sentence(tmp_path, text_bert):
    path, _ = write(tmp_path, "mmsa")
    content = pickle.loads(path.read_bytes())
    for part in content.values():
        odd = np.empty(len(part["id"]), object)
        odd[:] = [np.zeros((2, 3), np.float32), None, *["a"] * (len(odd) - 2)]
        part["text"] = odd
        for key in ("audio_lengths", "vision_lengths", *([] if text_bert else ["text_bert"])):
            part.pop(key, None)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"'text' must h(old|ave)"):
        read_file(path)

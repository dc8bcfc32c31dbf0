"""Writers of the files that the field has, all of the same made-up recordings, with a target that can be learned.

Every writer returns what it wrote, ragged and without padding: ``written["train"].inputs["text"][3]`` is what a reader
must find as sample 3.
"""

import csv
import io
import json
import pickle
import struct
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import save_file

from mmdisentangle.data import read_file

SIZES = {"train": 24, "validation": 8, "test": 8}
WIDTHS = {"text": 6, "audio": 4, "vision": 5}
FRAMES = {"text": 7, "audio": 12, "vision": 9}


@dataclass
class Written:
    """One split: for each modality N arrays ``[T_n, d]`` (``T_n`` is 0 where it is missing), and the target."""

    inputs: dict[str, list[np.ndarray]]
    target: np.ndarray
    ids: list[str] = field(default_factory=list)
    raw_text: list[str] = field(default_factory=list)


def record(sizes=SIZES, widths=WIDTHS, frames=FRAMES, *, missing=0.0, aligned=False, seed=0):
    """Draw recordings: the level of every channel follows the target, each with its own weight, plus noise."""
    generator = np.random.default_rng(seed)
    weights = {name: generator.normal(size=width) for name, width in widths.items()}
    written = {}
    for split, count in sizes.items():
        target = generator.uniform(-3, 3, size=count)
        inputs = {name: [] for name in widths}
        for value in target:
            shared = int(generator.integers(1, min(frames.values()) + 1))
            # The first modality always stays.
            gone = [generator.random() < missing and position > 0 for position in range(len(widths))]
            for (name, width), lost in zip(widths.items(), gone, strict=True):
                length = shared if aligned else int(generator.integers(1, frames[name] + 1))
                x = value * weights[name] + 0.3 * generator.normal(size=(length, width))
                inputs[name].append(x[: 0 if lost else length].astype(np.float32))
        ids = [f"video{split}{index // 2}$_${index % 2}" for index in range(count)]
        raw_text = [f"sentence {index} of {split}" for index in range(count)]
        written[split] = Written(inputs, target.astype(np.float32), ids, raw_text)
    return written


def pad(sequences, frames, side="right"):
    """Stack sequences to ``[N, frames, d]`` with zeros on one side."""
    padded = np.zeros((len(sequences), frames, sequences[0].shape[1]), np.float32)
    for row, x in zip(padded, sequences, strict=True):
        row[(frames - len(x) if side == "left" else 0) :][: len(x)] = x
    return padded


def mmsa_content(written, frames=FRAMES, *, side="right", lengths=True, sims=False):
    """Return the dict of an MMSA pickle."""
    content = {}
    for split, part in written.items():
        count = len(part.target)
        tokens = np.zeros((count, 3, frames["text"]), np.int64)
        for row, x in zip(tokens, part.inputs["text"], strict=True):
            row[1, frames["text"] - len(x) if side == "left" else 0 :][: len(x)] = 1
        named = {
            "raw_text": np.array(part.raw_text),
            "id": np.array(part.ids, dtype=object),
            "text_bert": tokens.astype(np.float32 if sims else np.int64),
            "regression_labels": part.target,
            "classification_labels": (1 + np.sign(part.target)).astype(np.float64),
            "annotations": np.where(part.target > 0, "Positive", "Negative"),
        }
        if sims:
            named |= {f"regression_labels_{letter}": -part.target for letter in "TAV"}
        for name, sequences in part.inputs.items():
            named[name] = pad(sequences, frames[name], side)
            if lengths and name != "text":
                named[f"{name}_lengths"] = [len(x) for x in sequences]
        content[{"validation": "valid"}.get(split, split)] = named
    return content


def write_mmsa(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, *, protocol=4, **settings):
    """Write an MMSA pickle, unaligned: padded on the right, lengths of audio and vision declared."""
    chosen = {key: settings.pop(key) for key in ("missing", "aligned", "seed") if key in settings}
    written = record(sizes, widths, frames, **chosen)
    path.write_bytes(pickle.dumps(mmsa_content(written, frames, **settings), protocol))
    return written


def write_mult(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, *, python2=False, iemocap=False, **chosen):
    """Write a MulT pickle: padded on the left, labels ``[N, 1, 1]`` or one-hot ``[N, 4, 2]``, ids as byte strings."""
    written = record(sizes, widths, frames, **chosen)
    content = {}
    for split, part in written.items():
        labels = part.target.reshape(-1, 1, 1)
        if iemocap:
            part.target = (part.target[:, None] > np.array([-1.5, -0.5, 0.5, 1.5])).astype(np.float32)
            labels = np.stack([1 - part.target, part.target], -1).astype(np.int64)
        part.ids = [f"video{index // 2}/{index}.5/{index + 1}.5" for index in range(len(part.target))]
        content[{"validation": "valid"}.get(split, split)] = {
            **{name: pad(x, frames[name], "left") for name, x in part.inputs.items()},
            "labels": labels,
            "id": np.array([[column.encode() for column in name.split("/")] for name in part.ids]),
        }
    path.write_bytes(python2_pickle(content) if python2 else pickle.dumps(content, 4))
    return written


def write_misa(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, *, emotions=False, vocabulary=0, **chosen):
    """Write a MISA pickle, or three where ``path`` is a folder: lists of aligned samples.

    With a ``vocabulary`` the words are integers below it; ``embeddings(vocabulary, width)`` gives their vectors.
    """
    written = record(sizes, widths, frames, aligned=True, **chosen)
    generator = np.random.default_rng(1)
    content = {}
    for split, part in written.items():
        samples = []
        part.ids = [f"video{index // 2}[{index}]" for index in range(len(part.target))]
        for index, value in enumerate(part.target):
            words, vision, audio = (part.inputs[name][index] for name in ("text", "vision", "audio"))
            if vocabulary:
                words = generator.integers(vocabulary, size=len(words))
                part.inputs["text"][index] = embeddings(vocabulary, widths["text"])[words]
            spoken = [f"word{position}" for position in range(len(words))]
            part.raw_text[index] = " ".join(spoken)
            label = np.concatenate([[value], np.abs(value) * np.ones(6)]) if emotions else [value]
            samples.append(((words, vision, audio, spoken), np.array([label], np.float32), part.ids[index]))
        content[{"validation": "dev"}.get(split, split)] = samples
    if path.is_dir():
        for split, samples in content.items():
            (path / f"{split}.pkl").write_bytes(pickle.dumps(samples, 4))
    else:
        path.write_bytes(pickle.dumps(content, 4))
    return written


def embeddings(vocabulary, width):
    """Return the word vectors that belong to ``write_misa(vocabulary=...)``."""
    return np.random.default_rng(2).normal(size=(vocabulary, width)).astype(np.float32)


def _own_arrays(written, frames):
    arrays = {}
    for split, part in written.items():
        for name, sequences in part.inputs.items():
            arrays[f"{split}_{name}"] = pad(sequences, frames[name])
            arrays[f"{split}_{name}_lengths"] = np.array([len(x) for x in sequences])
        arrays[f"{split}_target"] = part.target
    texts = {"task": "regression", "modalities": list(written["train"].inputs)}
    texts |= {f"{split}_ids": part.ids for split, part in written.items()}
    texts |= {f"{split}_raw_text": part.raw_text for split, part in written.items()}
    return arrays, texts


def write_npz(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, **chosen):
    """Write the library's own layout with numpy."""
    written = record(sizes, widths, frames, **chosen)
    arrays, texts = _own_arrays(written, frames)
    np.savez(path, **arrays, **{key: np.array(value) for key, value in texts.items()})
    return written


def write_safetensors(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, **chosen):
    """Write the same layout with safetensors; texts are JSON in the metadata."""
    written = record(sizes, widths, frames, **chosen)
    arrays, texts = _own_arrays(written, frames)
    tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in arrays.items()}
    save_file(tensors, path, metadata={key: json.dumps(value) for key, value in texts.items()})
    return written


def write_folder(path, sizes=SIZES, widths=WIDTHS, frames=FRAMES, **chosen):
    """Write one ``.npy`` file per sample and modality, none where it is missing, and ``labels.csv``."""
    written = record(sizes, widths, frames, **chosen)
    path.mkdir(exist_ok=True)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["id", "split", "group", "text", "score"])
    for split, part in written.items():
        part.ids = [id_.replace("$_$", "-") for id_ in part.ids]
        for index, id_ in enumerate(part.ids):
            rows.writerow([id_, split, id_.split("-")[0], part.raw_text[index], repr(float(part.target[index]))])
            for name, sequences in part.inputs.items():
                folder = path / split / name
                folder.mkdir(parents=True, exist_ok=True)
                if len(sequences[index]):
                    np.save(folder / f"{id_}.npy", sequences[index])
    (path / "labels.csv").write_text(table.getvalue(), encoding="utf-8")
    return written


WRITERS = {
    "mmsa": ("own.pkl", write_mmsa),
    "mult": ("own.pkl", write_mult),
    "misa": ("own.pkl", write_misa),
    "npz": ("own.npz", write_npz),
    "safetensors": ("own.safetensors", write_safetensors),
    "folder": ("own", write_folder),
}


class _Python2Pickler(pickle._Pickler):
    """Write what Python 2 wrote: text and bytes alike as byte strings, names of the old modules."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, value):
        raw = value.encode() if isinstance(value, str) else value
        code = struct.pack("<B", len(raw)) if len(raw) < 256 else struct.pack("<i", len(raw))
        self.write((pickle.SHORT_BINSTRING if len(raw) < 256 else pickle.BINSTRING) + code + raw)
        self.memoize(value)

    dispatch[str] = _save_string
    dispatch[bytes] = _save_string


def python2_pickle(content):
    """Return a pickle as Python 2 and numpy 1 would have written it with protocol 2."""
    file = io.BytesIO()
    _Python2Pickler(file, 2).dump(content)
    return with_numpy_names(file.getvalue(), 1)


def with_numpy_names(raw, version):
    """Return a pickle of protocol 3 or older with the module names of numpy 1 or of numpy 2."""
    old, new = b"cnumpy.core.", b"cnumpy._core."
    return raw.replace(new, old) if version == 1 else raw.replace(old, new)


def save(tmp_path, content, **settings):
    """Pickle the content and read it back."""
    (tmp_path / "own.pkl").write_bytes(pickle.dumps(content))
    return read_file(tmp_path / "own.pkl", **settings)


def assert_same(data, written):
    """Require what was read to be what was written, to the last bit."""
    for split, part in written.items():
        dataset = data.splits[split]
        assert list(dataset.modalities) == list(WIDTHS) or data.format == "folder"
        for index, sample in enumerate(dataset):
            for name, sequences in part.inputs.items():
                assert sample.inputs[name].dtype == torch.float32
                np.testing.assert_array_equal(sample.inputs[name].numpy(), sequences[index], f"{split} {name} {index}")
        np.testing.assert_array_equal(dataset.targets.numpy(), part.target)
        assert [sample.id for sample in dataset] == part.ids

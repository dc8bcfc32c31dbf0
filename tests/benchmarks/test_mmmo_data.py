"""Preparation of the clips on made-up arrays; the reading of the real file where there is one."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.mmmo_data import (
    COMPLETE,
    HELD_OUT,
    LIMIT,
    MODALITIES,
    WITHOUT_TEXT,
    Clip,
    cut_clips,
    prepare,
    read_clips,
)


def arrays(clips=6, steps=5, seed=0):
    """Streams ``[N, T, d_m]`` without a zero, and sentiments 1, 2, 3, 4, 5, 1 ..."""
    numbers = np.random.default_rng(seed)
    streams = {name: 1 + numbers.random((clips, steps, width), np.float32) for name, width in MODALITIES.items()}
    return streams, 1.0 + np.arange(clips) % 5


def test_padding_in_front_is_cut():
    streams, sentiments = arrays()
    for x in streams.values():
        x[2, :3] = 0
    clips = cut_clips(streams, sentiments, "part")
    for name, x in streams.items():
        assert torch.equal(clips[2].streams[name], torch.from_numpy(x[2, 3:]))
        assert torch.equal(clips[0].streams[name], torch.from_numpy(x[0]))
    assert [clip.sentiment for clip in clips] == sentiments.tolist()
    assert clips[2].name == "part-2"


def test_a_step_or_a_clip_without_a_modality():
    streams, sentiments = arrays()
    streams["vision"][1, [0, 3]] = 0
    streams["vision"][4] = 0
    clips = cut_clips(streams, sentiments, "part")
    assert torch.equal(clips[1].streams["vision"], torch.from_numpy(streams["vision"][1, [1, 2, 4]]))
    assert set(clips[4].streams) == {"text", "audio"}
    assert len(clips[4].streams["audio"]) == 5


def test_scaling_ignores_outliers_and_clips_them():
    streams, sentiments = arrays(clips=20)
    clean = cut_clips(streams, sentiments, "part")
    streams["audio"] = streams["audio"].copy()
    streams["audio"][3, 2, 7] = -255
    wild = cut_clips(streams, sentiments, "part")
    (known, unknown), (usual, _) = prepare(wild, wild, ("audio",)), prepare(clean, clean, ("audio",))
    assert known[3].inputs["audio"][2, 7] == unknown[3].inputs["audio"][2, 7] == -LIMIT
    for index in range(20):
        if index != 3:
            torch.testing.assert_close(known[index].inputs["audio"], usual[index].inputs["audio"], rtol=0, atol=0.1)


def test_statistics_come_from_the_training_clips_alone():
    training, other = (cut_clips(*arrays(seed=seed), "part") for seed in (0, 1))
    shifted = [Clip({name: 2 * x for name, x in clip.streams.items()}, clip.sentiment, clip.name) for clip in other]
    (first, scored), (second, moved) = prepare(training, other, MODALITIES), prepare(training, shifted, MODALITIES)
    frames = torch.cat([sample.inputs["text"] for sample in first])
    torch.testing.assert_close(frames.median(0).values, torch.zeros(300), rtol=0, atol=0.05)
    assert all(torch.equal(a.inputs["text"], b.inputs["text"]) for a, b in zip(first, second, strict=True))
    assert not torch.allclose(scored[0].inputs["text"], moved[0].inputs["text"])


def test_training_clips_without_the_modality_are_left_out():
    """Those that are scored stay: they have to be predicted somehow."""
    streams, sentiments = arrays()
    streams["text"][[1, 4]] = 0
    clips = cut_clips(streams, sentiments, "part")
    known, unknown = prepare(clips, clips, ("text",))
    assert [sample.id for sample in known] == ["part-0", "part-2", "part-3", "part-5"]
    assert len(unknown) == 6
    known, _ = prepare(clips, clips, MODALITIES)
    assert len(known) == 6
    assert set(known[1].inputs) == {"audio", "vision"}


def test_the_real_file():
    folder = os.environ.get("MMDISENTANGLE_DATA")
    path = Path(folder or ".") / "mmmo.npz"
    if folder is None or not path.is_file():
        pytest.skip("MMDISENTANGLE_DATA names no folder with mmmo.npz, which is no part of this project")
    parts = {part: read_clips(path, part) for part in (COMPLETE, HELD_OUT, WITHOUT_TEXT)}
    assert {part: len(clips) for part, clips in parts.items()} == {COMPLETE: 80, HELD_OUT: 40, WITHOUT_TEXT: 220}
    for part, clips in parts.items():
        for clip in clips:
            assert 1 <= clip.sentiment <= 5
            assert set(clip.streams) == set(MODALITIES) - ({"text"} if part == WITHOUT_TEXT else set())
            assert all(1 <= len(x) <= 20 and x.any(-1).all() for x in clip.streams.values())
    known, unknown = prepare(parts[COMPLETE] + parts[WITHOUT_TEXT], parts[HELD_OUT], MODALITIES)
    assert len(known) == 300
    for sample in [*known, *unknown]:
        assert all(x.isfinite().all() and x.abs().max() <= LIMIT for x in sample.inputs.values())

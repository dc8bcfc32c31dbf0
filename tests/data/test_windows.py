"""Where the real frames of padded arrays lie: padding on either side, declared lengths, alignment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.data import read_file
from mmdisentangle.data.readers._raw import RawSplit
from mmdisentangle.data.readers._windows import find_windows
from mmdisentangle.errors import DataWarning
from tests.data import research_files
from tests.data.research_files import FRAMES, SIZES, WIDTHS, assert_same, mmsa_content, record, save, write_mmsa


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("lengths", [False, True])
def test_padding_is_found_on_either_side(tmp_path, side, lengths):
    written = write_mmsa(tmp_path / "own.pkl", side=side, lengths=lengths, missing=0.3)
    data = read_file(tmp_path / "own.pkl")
    assert_same(data, written)
    for name, found in data.findings["splits"]["train"]["modalities"].items():
        true = [len(x) for x in written["train"].inputs[name] if len(x)]
        assert found["padding"] == side
        assert found["lengths"] == {"min": min(true), "median": float(np.median(true)), "max": max(true)}
        assert found["shape"] == [SIZES["train"], FRAMES[name], WIDTHS[name]]


def test_mixed_padding_and_none(tmp_path):
    content = mmsa_content(record(frames={"text": 1, "audio": 5, "vision": 5}), {"text": 1, "audio": 5, "vision": 5})
    for part in content.values():
        del part["audio_lengths"], part["vision_lengths"]
        part["vision"] = part["vision"].copy()
        part["vision"][:] = 0
        part["vision"][:, 1:4] = 1
    found = save(tmp_path, content).findings["splits"]["train"]["modalities"]
    assert [found[name]["padding"] for name in ("text", "audio", "vision")] == ["none", "right", "mixed"]
    assert found["vision"]["lengths"] == {"min": 3, "median": 3.0, "max": 3}


def test_aligned_modalities_are_cut_at_the_same_frames(tmp_path):
    frames = {"text": 4, "audio": 4, "vision": 4}
    content = mmsa_content(record(frames=frames), frames, lengths=False)
    for part in content.values():
        for name in ("text", "audio", "vision"):
            part[name] = np.ones_like(part[name])
            part[name][:, 0] = 0
        part["audio"][:, 1] = 0
        part["vision"][:, 3] = 0
        part["vision"][0] = 0
    data = save(tmp_path, content)
    assert data.findings["splits"]["train"]["aligned"]
    assert [len(data.splits["train"][1].inputs[name]) for name in frames] == [3, 3, 3]
    assert data.splits["train"][1].inputs["audio"][:, 0].tolist() == [0, 1, 1]
    assert [len(data.splits["train"][0].inputs[name]) for name in frames] == [3, 3, 0]


def test_values_beyond_a_declared_length_are_counted_and_cut_off(tmp_path):
    content = mmsa_content(record())
    train = content["train"]
    train["audio"][:] = 1.0
    train["audio_lengths"] = np.full(SIZES["train"], FRAMES["audio"])
    train["audio_lengths"][:2] = [3, 0]
    with pytest.warns(
        DataWarning, match=f"'audio' has values beyond the declared length: {9 + 12} frames of 2 samples"
    ):
        data = save(tmp_path, content)
    assert [len(sample.inputs["audio"]) for sample in list(data.splits["train"])[:3]] == [3, 0, 12]


def test_lengths_beyond_the_array_are_reported(tmp_path):
    content = mmsa_content(record())
    content["test"]["vision_lengths"] = [100, *content["test"]["vision_lengths"][1:]]
    with pytest.warns(DataWarning, match="test: 'vision' declares lengths beyond the end of the array for 1 samples"):
        data = save(tmp_path, content)
    assert len(data.splits["test"][0].inputs["vision"]) == FRAMES["vision"]


def slow_window(mask, declared):
    """Try both places for a declared length, frame by frame; the first frames win a draw."""
    total = len(mask)
    if not any(mask):
        return (0, 0), 0
    if declared is None:
        real = [index for index in range(total) if mask[index]]
        return (real[0], real[-1] + 1), 0
    length = min(declared, total)
    outside = {}
    for start in (0, total - length):
        outside[start] = sum(bool(mask[index]) for index in range(total) if not start <= index < start + length)
    start = min(outside, key=lambda place: (outside[place], place))
    return (start, start + length), outside[start]


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.none() | st.integers(0, 10))
def test_windows_against_a_slow_search(mask, declared):
    x = np.array(mask, np.float32)[None, :, None]
    lengths = {} if declared is None else {"a": np.array([declared])}
    found = find_windows("here", RawSplit({"a": x}, {}, lengths), padded=True)["a"]
    (start, stop), beyond = slow_window(mask, declared)
    assert (found.start[0], found.stop[0], found.beyond[0]) == (start, stop, beyond)
    assert found.too_long == (declared is not None and declared > len(mask))


def test_a_draw_between_two_places_goes_the_way_of_the_other_samples():
    # Two real frames of four, declared as three: first or last frames fit sample 0 equally well.
    mask = np.array([[0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 1, 1]], np.float32)
    found = find_windows("here", RawSplit({"a": mask[:, :, None]}, {}, {"a": np.array([3, 3, 3])}), padded=True)["a"]
    assert found.start.tolist() == [1, 1, 1]
    assert found.padding == "left"


def test_modalities_of_equal_length_are_not_aligned_where_the_others_differ(tmp_path):
    """MulT pads audio and vision of MOSEI to 500 frames each, and they are not aligned."""
    frames = {"text": 3, "audio": 6, "vision": 6}
    written = research_files.write_mult(tmp_path / "own.pkl", frames=frames)
    for modalities in (None, ("audio", "vision")):
        data = read_file(tmp_path / "own.pkl", modalities=modalities)
        assert not data.findings["splits"]["train"]["aligned"]
        for index, sample in enumerate(data.splits["train"]):
            assert len(sample.inputs["audio"]) == len(written["train"].inputs["audio"][index])

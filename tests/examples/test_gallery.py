"""Every example of the gallery runs within its time, and shows what it says."""

import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("plot_*.py"))
LIMIT = 60
Names = dict[str, Any]


def smoothing(names: Names) -> None:
    numbers = names["numbers"]
    sensor, clean, events = ([row[key] for row in numbers.values()] for key in ("sensor", "clean", "events"))
    assert sensor == sorted(sensor)
    best = clean.index(min(clean))
    assert 0 < best < len(clean) - 1
    assert events[-1] < 0.5 * events[best]
    assert numbers[3000]["slow"] > 0.9 * max(row["slow"] for row in numbers.values())
    first, last = numbers[0], numbers[3000]
    assert last["loss"] / first["loss"] < 0.1 * last["step"] / first["step"]


def reversal(names: Names) -> None:
    before, linear, full = names["numbers"].values()
    assert before["linear probe"] > 0.7
    assert abs(linear["discriminator"] - 0.5) < 0.1
    assert abs(linear["linear probe"] - 0.5) < 0.1
    assert linear["nonlinear probe"] > 0.9
    assert full["nonlinear probe"] < 0.7
    assert full["CKA"] > 0.9


def gate(names: Names) -> None:
    agreeing, foreign, explained = names["numbers"]["hard", False]
    assert agreeing > 0.9
    assert foreign < 0.4
    assert explained > names["numbers"]["off", False][2] + 0.3
    agreeing, foreign, explained = names["numbers"]["hard", True]
    assert min(agreeing, foreign, explained) > 0.9
    for curve in names["curves"].values():
        assert curve[0] < 0.1 < 0.7 < curve[-1]


def known_factors(names: Names) -> None:
    pairs, distributions = names["numbers"]["pairs"], names["numbers"]["distributions"]
    for modality in ("eeg", "gaze"):
        own = f"private to {modality}"
        assert pairs["shared", f"shared[{modality}]"] > 0.8
        assert pairs[own, f"private[{modality}]"] > 0.8
        assert pairs[own, f"shared[{modality}]"] < 0.1
        assert pairs["shared", f"private[{modality}]"] < 0.4
        assert distributions[own, f"shared[{modality}]"] > 0.4
    told = names["told"]
    assert told["reconstruction alone"] > 0.9
    assert told["distributions"] < 0.75
    assert told["pairs"] < 0.6


def missing(names: Names) -> None:
    complete, lacking = names["numbers"].values()
    constant = names["curves"]["complete samples"].constant["accuracy"]
    assert complete["lidar"] < constant + 0.1
    assert lacking["lidar"] > complete["lidar"] + 0.15
    assert lacking["mean of *"] > complete["mean of *"]
    assert lacking["complete"] > complete["complete"] - 0.06


def graph(names: Names) -> None:
    day, night, without = (weights for weights, _ in names["numbers"].values())
    camera, lidar = 0, 1
    assert (day[1:, camera] > 0.9).all()
    assert (night[1:, camera] < 0.1).all()
    assert (night[[0, 2, 3], lidar] > 0.6).all()
    assert not without[lidar].any()
    assert not without[:, lidar].any()


def frames(names: Names) -> None:
    full, narrow, cut = (edges for edges, *_ in names["graphs"].values())
    assert full.shape[1] > max(narrow.shape[1], cut.shape[1])
    enough, *_ = names["frame_graph"](window=0.3, max_neighbours=names["needed"])
    fewer, *_ = names["frame_graph"](window=0.3, max_neighbours=names["needed"] - 1)
    assert torch.equal(enough, full)
    assert fewer.shape[1] < full.shape[1]


def cost(names: Names) -> None:
    # Times of a busy machine say little; that a square outgrows a line they say in any case.
    slopes = names["slopes"]
    assert slopes["attention within 8 s", "plain form"] > slopes["attention within 8 s", "library"] + 0.4


def leakage(names: Names) -> None:
    status = {
        model: {question: verdict.status for question, verdict in found.items()}
        for model, found in names["answers"].items()
    }
    assert set(status["good"].values()) == {"good"}
    free, alive = "Are the shared codes free of the modality?", "Do the codes say anything at all?"
    assert [question for question, found in status["leaking"].items() if found != "good"] == [free]
    assert status["collapsed"][alive] == "bad"
    assert status["collapsed"][free] == "unknown"
    assert "A linear probe does not see it." in names["answers"]["leaking"][free].answer


def own_layer(names: Names) -> None:
    plain, multiplied, cleaned, masked = names["broken"].values()
    assert "filled with 1000" in plain["padding_content"]
    assert "filled with NaN" in multiplied["padding_content"]
    assert set(cleaned) == {"no_frames", "empty_sample"}
    assert not masked


CLAIMS: dict[str, Callable[[Names], None]] = {
    "plot_cost": cost,
    "plot_frame_graph": frames,
    "plot_gate": gate,
    "plot_gradient_reversal": reversal,
    "plot_graph_attention": graph,
    "plot_known_factors": known_factors,
    "plot_leakage_report": leakage,
    "plot_missing_modality": missing,
    "plot_own_layer": own_layer,
    "plot_temporal_smoothing": smoothing,
}


def test_every_example_is_judged():
    assert [example.stem for example in EXAMPLES] == sorted(CLAIMS)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_keeps_its_time_and_its_word(example):
    plt = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sklearn")
    plt.switch_backend("Agg")
    torch.set_num_threads(1)
    # Time of this process: others on the machine do not count.
    start = time.process_time()
    try:
        names = runpy.run_path(str(example))
        seconds = time.process_time() - start
        drawn = len(plt.get_fignums())
    finally:
        plt.close("all")
    assert seconds < LIMIT, f"{example.name} takes {seconds:.0f} s, more than {LIMIT}"
    assert drawn
    CLAIMS[example.stem](names)

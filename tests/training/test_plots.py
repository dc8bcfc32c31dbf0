import math

import pytest
from matplotlib.figure import Figure

from mmdisentangle.training import plots


@pytest.fixture
def figures(monkeypatch):
    """Figures in the order in which they were written."""
    kept = []
    save = Figure.savefig

    def keep(figure, path):
        kept.append(figure)
        save(figure, path)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def history(epochs=5):
    return [
        {
            "epoch": epoch,
            "step": 2 * epoch,
            **{f"{stage}/{name}": 1 / epoch for stage in ("train", "val") for name in ("task", "total", "adversarial")},
            "train/accuracy": epoch / 10,
            "val/accuracy": epoch / 12,
        }
        for epoch in range(1, epochs + 1)
    ]


def test_loss_terms(figures, tmp_path):
    plots.plot_loss_terms(history(), tmp_path / "l.png", title="a run", task="classification", selected=3)
    axes = figures[0].axes
    assert [panel.get_title() for panel in axes] == ["total", "task loss", "adversarial"]
    assert [panel.get_ylabel() for panel in axes] == ["weighted sum", "nats", "nats"]
    assert {panel.get_xlabel() for panel in axes} == {"epoch"}
    assert axes[1].get_legend_handles_labels()[1] == ["training", "validation", "chosen epoch 3"]
    assert list(axes[1].lines[0].get_ydata()) == [1 / epoch for epoch in range(1, 6)]
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")


def test_scores(figures, tmp_path):
    plots.plot_scores(history(), tmp_path / "s.png", title="a run", test={"accuracy": 0.42}, selected=5)
    (panel,) = figures[0].axes
    assert (panel.get_title(), panel.get_ylabel()) == ("accuracy", "share of samples")
    assert "test: 0.420" in panel.get_legend_handles_labels()[1]


def test_one_epoch_without_validation_and_nan(figures, tmp_path):
    rows = [{"epoch": 1, "train/total": 2.0, "train/pearson": math.nan, "train/mae": 1.0}]
    plots.plot_loss_terms(rows, tmp_path / "l.png", title="t", task="regression")
    plots.plot_scores(rows, tmp_path / "s.png", title="t", test={"mae": 1.0, "pearson": math.nan}, selected=1)
    assert figures[0].axes[0].lines[0].get_marker() == "o"
    assert [panel.get_title() for panel in figures[1].axes] == ["Pearson correlation", "mean absolute error"]


def test_seeds(figures, tmp_path):
    plots.plot_seeds({3: {"accuracy": 0.5}, 7: {"accuracy": 0.75}}, tmp_path / "s.png", title="t")
    (panel,) = figures[0].axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["3", "7"]
    assert "mean 0.625" in panel.get_legend_handles_labels()[1]
    assert "± 0.177 (standard deviation)" in panel.get_legend_handles_labels()[1]


def test_mean_and_deviation():
    assert plots.mean_and_deviation([0.4]) == (0.4, 0.0)
    assert plots.mean_and_deviation([1.0, 2.0, 4.0]) == (pytest.approx(7 / 3), pytest.approx(1.5275252))

"""The picture of a breakdown, by what matplotlib is told to draw."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from tinyalexnet.benchmark import plots
from tinyalexnet.benchmark.breakdown import LayerRow
from tinyalexnet.devices import Peak
from tinyalexnet.plots import COLOURS

ROWS = [
    LayerRow("conv1", (2, 5, 5, 8), 100, 3_000_000, 1_000_000, 500_000, seconds={"forward": 0.004, "dw": 0.001}),
    LayerRow("pool1", (2, 2, 2, 8), seconds={"forward": 0.0005, "dx": 0.0025}),
    LayerRow("fc2", (2, 9), 80, 1_000_000, 1_000_000, 4_000_000, seconds={"forward": 0.002, "dx": 0.008, "dw": 0.016}),
]


@pytest.fixture
def figure(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path, dpi: figures.append((figure, path, dpi)))
    plots.breakdown(ROWS, Peak(8e9, 2e9), "a title", "a.svg")
    ((drawn, *where),) = figures
    assert where == ["a.svg", 120]
    return drawn


def test_the_times_of_a_layer_s_passes_are_one_bar(figure):
    axes = figure.axes[0]
    assert figure.get_suptitle() == "a title"
    assert figure.get_size_inches().tolist() == [12, 5]
    assert axes.get_xlabel() == "milliseconds a batch"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv1", "pool1", "fc2"]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["forward", "dx", "dw"]
    bars = [(bars.get_label(), [(bar.get_x(), bar.get_width()) for bar in bars]) for bars in axes.containers]
    assert bars == [
        ("forward", [(0, 4), (0, 0.5), (0, 2)]),
        ("dx", [(4, 0), (0.5, 2.5), (2, 8)]),
        ("dw", [(4, 1), (3, 0), (10, 16)]),
    ]
    for name, container in zip(("forward", "dx", "dw"), axes.containers, strict=True):
        assert {to_hex(bar.get_facecolor()) for bar in container} == {COLOURS[name]}


def test_a_pass_that_nothing_has_is_not_in_the_legend(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, *_, **how: figures.append(figure))
    rows = [LayerRow("conv1", (1, 1), 1, 1, 1, 1, seconds={"forward": 1.0})]
    plots.breakdown(rows, Peak(8e9, 2e9), "", "a.svg")
    assert [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()] == ["forward"]


def test_the_roofline(figure):
    """The ridge is at 4 operations a byte; conv1's formula has 12, which end the roof at 24."""
    axes = figure.axes[1]
    roof, *points = axes.lines
    assert roof.get_xydata().ravel().tolist() == pytest.approx([0.4, 0.8, 4, 8, 24, 8])
    assert [(text.get_text(), tuple(text.xy)) for text in axes.texts] == [
        ("8 GFLOP/s", (4, 8)),
        ("2 GB/s", pytest.approx((0.4, 0.8))),
    ]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["conv1", "fc2"]
    found = [
        (to_hex(point.get_color()), point.get_marker(), point.get_fillstyle(), *point.get_xydata()[0])
        for point in points
        if len(point.get_xydata())
    ]
    forward, dx, dw = (COLOURS[name] for name in ("forward", "dx", "dw"))
    # 2e6 operations in 4 ms are 0.5 GFLOP/s; over 5e5 bytes, 4 a byte. The formula's are three times as many.
    assert found == [
        (forward, "o", "full", 4, pytest.approx(0.5)),
        (forward, "o", "none", 12, pytest.approx(1.5)),
        (dw, "o", "full", 4, pytest.approx(2)),
        (dw, "o", "none", 12, pytest.approx(6)),
        (forward, "s", "full", 0.5, pytest.approx(1)),
        (forward, "s", "none", 0.5, pytest.approx(1)),
        (dx, "s", "full", 0.5, pytest.approx(0.25)),
        (dx, "s", "none", 0.5, pytest.approx(0.25)),
        (dw, "s", "full", 0.5, pytest.approx(0.125)),
        (dw, "s", "none", 0.5, pytest.approx(0.125)),
    ]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "a byte" in axes.get_xlabel()
    assert "GFLOP/s" in axes.get_ylabel()
    figure.canvas.draw()
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        assert len(axis.get_minorticklocs()) == 0
        ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
        assert {"1", "2", "5"} <= {axis.get_major_formatter()(tick) for tick in ticks}

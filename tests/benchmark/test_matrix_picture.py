"""The heat maps of a matrix, by what matplotlib is told to draw."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tinyalexnet.benchmark import plots
from tinyalexnet.benchmark.cells import Cell
from tinyalexnet.benchmark.versus import Comparison
from tinyalexnet.plots import COLOURS

PASSES = ("Forward", "Forward-backward")


def cell(variant, batch_size, ratio):
    """Five rounds, of which the ratio is the median, and a tenth less and more the quartiles."""
    pairs = [(1.0, factor * ratio) for factor in (0.5, 0.9, 1.0, 1.1, 3.0)]
    theirs = {
        "torch --compile": Comparison("torch", "torch 9, compiled", dict.fromkeys(PASSES, pairs)),
        "onnxruntime": Comparison("onnxruntime", "onnxruntime 8", {"Forward": pairs}),
    }
    return Cell(variant, batch_size, "", {name: [1.0] * 5 for name in PASSES}, theirs)


@pytest.fixture
def figure(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path, dpi: figures.append((figure, path, dpi)))
    plots.matrix([cell("owt", 1, 2.0), cell("owt", 8, 0.25), cell("digits", 1, 40.0)], "a title", "a.svg")
    ((drawn, *where),) = figures
    assert where == ["a.svg", 120]
    return drawn


def test_each_framework_and_pass_has_a_map(figure):
    assert figure.get_suptitle() == "a title"
    # Inches: beside and above the maps is room for names; a cell is 0.8 wide and 0.45 high.
    assert figure.get_size_inches().tolist() == pytest.approx([3 + 2 * (1.6 + 2 * 0.8), 1.6 + 2 * (0.9 + 2 * 0.45)])
    *maps, bar = figure.axes
    assert [axes.get_title() for axes in maps] == [
        "torch 9, compiled, Forward",
        "torch 9, compiled, Forward-backward",
        "onnxruntime 8, Forward",
    ]
    for axes in maps:
        assert [label.get_text() for label in axes.get_yticklabels()] == ["owt", "digits"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "8"]
        assert axes.get_yticks().tolist() == axes.get_xticks().tolist() == [0.5, 1.5]
        assert axes.yaxis_inverted()
        assert not axes.get_frame_on()
        assert {tick.tick1line.get_markersize() for tick in (*axes.xaxis.majorTicks, *axes.yaxis.majorTicks)} == {0}
        assert axes.get_xlabel() == "batch size"
    assert [label.get_text() for label in bar.get_yticklabels()] == ["1/4", "1/2", "1", "2", "4"]
    assert len(bar.yaxis.get_minorticklocs()) == 0
    assert bar.get_box_aspect() == pytest.approx(6 * figure.get_size_inches()[1])
    assert bar.get_yticks().tolist() == [1 / 4, 1 / 2, 1, 2, 4]


def test_a_cell_has_the_median_and_the_quartiles_and_a_colour_between(figure):
    """White is 1; four times as fast, and more, has the full colour, and a fourth the other; grey is not measured."""
    for axes in figure.axes[:-1]:
        texts = {text.get_text(): tuple(np.floor(text.get_position()).astype(int)) for text in axes.texts}
        expected = {"2.00": (0, 0), "1.80  2.20": (0, 0), "0.25": (1, 0), "0.23  0.28": (1, 0)}
        assert texts == expected | {"40.00": (0, 1), "36.00  44.00": (0, 1)}
        (mesh,) = axes.collections
        colours = [to_hex(colour) for colour in mesh.to_rgba(mesh.get_array()).reshape(-1, 4)]
        assert colours[1:] == [COLOURS["dx"], COLOURS["forward"], plots.UNMEASURED]
        assert to_hex(mesh.to_rgba(2.0)) == colours[0]
        red, _, blue = mesh.to_rgba(2.0)[:3]
        assert red < 1 - 0.2 < blue
        assert min(mesh.to_rgba(1.0)) > 0.99


def test_one_framework_and_one_pass_are_one_map(tmp_path):
    one = cell("owt", 1, 2.0)
    del one.versus["torch --compile"]
    plots.matrix([one], "a title", str(tmp_path / "a.svg"))
    assert "onnxruntime 8, Forward" in (tmp_path / "a.svg").read_text()


def test_it_is_written_as_a_file(tmp_path):
    target = tmp_path / "a.svg"
    plots.matrix([cell("owt", 1, 2.0)], "a title", str(target))
    assert "a title" in target.read_text()

"""The picture of a training, by what matplotlib is told to draw: curves, filters, images and their classes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tinyalexnet.plots import COLOURS
from tinyalexnet.training import plots

LOG = [
    {"step": 2, "loss": 3.0, "accuracy": 0.125},
    {"step": 4, "loss": 2.0, "accuracy": 0.25},
    {"step": 5, "whole_epoch": True, "loss": 2.5, "accuracy": 0.1875, "test_loss": 1.5, "test_accuracy": 0.5},
    {"step": 6, "loss": 1.0, "accuracy": 0.375},
    {"step": 10, "whole_epoch": True, "loss": 0.75, "accuracy": 0.75, "test_loss": 0.5, "test_accuracy": 0.875},
]
CLASSES = ("cat", "$dog$", "bird\n", "fish")
PROBABILITIES = np.array([[0.5, 0.125, 0.25, 0.125 / 2], [0.0, 0.25, 0.0625, 0.6875], [0.125, 0.5, 0.0, 0.375]])
LABELS = np.array([2, 3, 0])


@pytest.fixture
def parts(monkeypatch, rng):
    """Draws a picture of so many filters of so many channels; its subfigures: curves, filters, images."""

    def drawn(count=5, channels=3):
        figures = []
        monkeypatch.setattr(plots, "save", lambda figure, path, dpi: figures.append((figure, path, dpi)))
        filters = rng.standard_normal((2, 2, channels, count))
        pixels = rng.integers(0, 256, (3, 4, 5, channels), dtype=np.uint8)
        plots.training(LOG, filters, pixels, PROBABILITIES, LABELS, CLASSES, "a.svg")
        ((figure, path, _),) = figures
        assert path == "a.svg"
        above, below = figure.subfigs
        return (*above.subfigs, below), filters, pixels

    return drawn


def test_the_curves(parts):
    (curves, _, _), *_ = parts()
    assert curves.get_supxlabel() == plots.WHY_TEST_IS_BETTER
    for axes, name in zip(curves.axes, ("loss", "accuracy"), strict=True):
        assert (axes.get_title(), axes.get_xlabel()) == (name, "steps")
        found = {line.get_label(): line for line in axes.lines}
        expected = {
            "training": ([2, 4, 6], [LOG[k][name] for k in (0, 1, 3)], "forward", ("-", "None")),
            "training, mean of an epoch": ([5, 10], [LOG[k][name] for k in (2, 4)], "forward", ("None", "s")),
            "test": ([5, 10], [LOG[k][f"test_{name}"] for k in (2, 4)], "dx", ("-", "o")),
        }
        assert [text.get_text() for text in axes.get_legend().get_texts()] == list(found) == list(expected)
        for label, (steps, values, colour, style) in expected.items():
            line = found[label]
            assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == (steps, values)
            assert to_hex(line.get_color()) == COLOURS[colour]
            assert (line.get_linestyle(), line.get_marker()) == style


@pytest.mark.parametrize(("count", "rows", "columns"), [(5, 2, 3), (4, 2, 2), (1, 1, 1), (10, 3, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_filters(parts, count, rows, columns, channels):
    """Each from its own least to its own most, with 0 in the middle; as square as it can be, the rest empty."""
    (_, right, _), filters, _ = parts(count, channels)
    assert right.get_suptitle() == "filters of conv1"
    assert {(axes.get_gridspec().nrows, axes.get_gridspec().ncols) for axes in right.axes} == {(rows, columns)}
    assert not any(axes.axison for axes in right.axes)
    assert [len(axes.images) for axes in right.axes] == [1] * count + [0] * (rows * columns - count)
    for axes, one in zip(right.axes, np.moveaxis(filters, 3, 0), strict=False):
        shown = np.ma.getdata(axes.images[0].get_array())
        # Two operations in float64, of values up to 1.
        np.testing.assert_allclose(2 * shown - 1, one.squeeze() / np.abs(one).max(), rtol=0, atol=1e-15)
        assert axes.images[0].get_clim() == (0, 1)
        assert axes.images[0].get_cmap().name == "gray"


def test_a_filter_of_zeros_is_grey(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, *_, **how: figures.append(figure))
    pixels = np.zeros((1, 4, 5, 3), np.uint8), np.eye(4)[:1], np.zeros(1, int)
    plots.training(LOG, np.zeros((2, 2, 3, 1)), *pixels, CLASSES, "a.svg")
    (axes,) = figures[0].subfigs[0].subfigs[1].axes
    assert np.ma.getdata(axes.images[0].get_array()).tolist() == [[[0.5] * 3] * 2] * 2


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_and_their_three_likeliest_classes(parts, channels):
    """Two rows of them. The names are text and no formula, and stand in one line each."""
    (_, _, below), _, pixels = parts(channels=channels)
    assert "the right one in bold" in below.get_suptitle()
    assert {(axes.get_gridspec().nrows, axes.get_gridspec().ncols) for axes in below.axes} == {(2, 2)}
    for axes, image in zip(below.axes, pixels, strict=False):
        np.testing.assert_array_equal(np.ma.getdata(axes.images[0].get_array()), image.squeeze())
        assert axes.images[0].get_cmap().name == "gray"
        assert not axes.axison
    found = [[(text.get_text(), text.get_fontweight()) for text in axes.texts] for axes in below.axes]
    assert found == [
        [("50% cat", "normal"), (r"25% bird\n", "bold"), ("12% $dog$", "normal")],
        [("69% fish", "bold"), ("25% $dog$", "normal"), (r"6% bird\n", "normal")],
        [("50% $dog$", "normal"), ("38% fish", "normal"), ("12% cat", "bold")],
        [],
    ]
    for axes in below.axes[:3]:
        places = [text.get_position() for text in axes.texts]
        assert {x for x, _ in places} == {0.0}
        # Below the image and below each other, by more than the height of a line.
        assert all(upper - lower > 0.1 for (_, upper), (_, lower) in zip([(0, 0.05), *places], places, strict=False))
        assert all(text.get_transform() == axes.transAxes and not text.get_parse_math() for text in axes.texts)

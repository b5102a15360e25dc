"""The picture of classified images, by what matplotlib is told to draw."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tinyalexnet.plots import COLOURS
from tinyalexnet.weights import plots

NAMES = ["cat", "$dog$", "a fish of a name that is much too long for one line of a picture", "bird\n"]
PROBABILITIES = np.array([[0.125, 0.5, 0.25, 0.125], [0.0625, 0.1875, 0.0, 0.75]])
LIKELIEST = np.array([[1, 2, 0], [3, 1, 0]])


def test_each_image_is_beside_the_bars_of_its_likeliest_classes(monkeypatch, rng):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path, dpi: figures.append((figure, path)))
    pixels = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((4, 5, 1), (3, 2, 3))]
    plots.classified(["in/a $1$.png", "in/b\n.png"], pixels, PROBABILITIES, LIKELIEST, NAMES, "a.svg")
    ((figure, path),) = figures
    assert path == "a.svg"
    rows = np.array(figure.axes).reshape(2, 2)
    titles = []
    for (left, right), image, probabilities, likeliest in zip(rows, pixels, PROBABILITIES, LIKELIEST, strict=True):
        np.testing.assert_array_equal(np.ma.getdata(left.images[0].get_array()), image.squeeze())
        assert left.images[0].get_cmap().name == "gray"
        assert not left.axison
        assert not left.title.get_parse_math()
        titles.append(left.get_title())
        assert [bar.get_width() for bar in right.patches] == probabilities[likeliest].tolist()
        assert [bar.get_y() + bar.get_height() / 2 for bar in right.patches] == pytest.approx([0, 1, 2])
        assert {to_hex(bar.get_facecolor()) for bar in right.patches} == {COLOURS["forward"]}
        assert right.yaxis_inverted()
        assert right.get_xlim() == (0, 1.1)
        assert right.get_yticks().tolist() == [0, 1, 2]
        assert right.get_xticks().tolist() == []
        assert not any(label.get_parse_math() for label in right.get_yticklabels())
        assert [side for side, spine in right.spines.items() if spine.get_visible()] == ["left"]
    assert titles == ["a $1$.png", r"b\n.png"]
    labels = [[label.get_text() for label in right.get_yticklabels()] for _, right in rows]
    assert labels == [["$dog$", "a fish of a name that is much too [...]", "cat"], [r"bird\n", "$dog$", "cat"]]
    assert [[text.get_text() for text in right.texts] for _, right in rows] == [
        ["50.0%", "25.0%", "12.5%"],
        ["75.0%", "18.8%", "6.2%"],
    ]

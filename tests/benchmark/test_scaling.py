"""Teams of 1, 2, ... processes in turn: who takes which steps, the figures by hand, and the picture."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tests.parallel.as_threads import on
from tinyalexnet.benchmark import plots, scaling
from tinyalexnet.benchmark.scaling import Row
from tinyalexnet.benchmark.shared import Share
from tinyalexnet.plots import COLOURS


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (4, [1, 2, 3, 4]),
        (5, [1, 2, 4, 5]),
        (8, [1, 2, 4, 8]),
        (96, [1, 2, 4, 8, 16, 32, 64, 96]),
    ],
)
def test_sizes(processes, expected):
    assert scaling.sizes(processes) == expected


@pytest.fixture
def clocks(monkeypatch):
    """A clock for each process, which its steps move on."""
    own = threading.local()
    monkeypatch.setattr(scaling, "time", SimpleNamespace(**vars(time) | {"perf_counter": lambda: own.now}))
    return own


def test_groups_take_turns_to_and_fro(clocks):
    """A step of process p of P takes (p + 1) / P tenths of a second; it sends each of the others three floats."""

    def measured(link):
        turns, done, rests = [], [], []
        clocks.now = 0.0
        rest = link.rest
        link.rest = lambda: rests.append(rest())

        def step_of(part):
            def step():
                turns.append(part.size)
                pieces = [np.zeros(3, np.float32)] * part.size
                part.now(lambda: part.exchange("gradients", pieces, [3] * part.size))
                clocks.now += 0.1 * (link.rank + 1) / part.size

            return step

        rows = scaling.measure(link, step_of, lambda size, rank: 100 * size + rank, 3, lambda: done.append(len(turns)))
        assert len(rests) == 9
        return rows, turns, done

    # In half a second process 0 alone takes 5 steps, of two 10, of three 15; and one before, that does not count.
    counts = {1: 6, 2: 11, 3: 16}
    orders = [[1, 2, 3], [3, 2, 1], [1, 2, 3]]
    found = on(3, measured)
    for rank, (rows, turns, done) in enumerate(found):
        mine = [[size for size in order if size > rank] for order in orders]
        assert turns == [size for order in mine for size in order for _ in range(counts[size])]
        assert len(done) == 9
        assert done[-1] == len(turns)
        assert [row.processes for row in rows] == [1, 2, 3]
        assert [row.sent for row in rows] == [[0], [12, 12], [24, 24, 24]]
        assert [row.expected for row in rows] == [[100], [200, 201], [300, 301, 302]]
    for row in found[0][0]:
        assert row.seconds == pytest.approx([0.1 / row.processes] * 3)


def test_a_step_may_take_longer_than_a_turn(clocks):
    def measured(link):
        taken, clocks.now = [], 0.0

        def step():
            taken.append(1)
            clocks.now += 7.0

        (row,) = scaling.measure(link, lambda part: step, lambda size, rank: 0, 1, lambda: None)
        return row.seconds, len(taken)

    assert on(1, measured) == [([7.0], 2)]


ROWS = [
    Row(1, [2.0, 4.0, 3.0], [0], [0]),
    # Speed-ups by round: 1, 2 and 3.
    Row(2, [2.0, 2.0, 1.0], [1000, 1200], [1000, 1200]),
]


def test_figures_by_hand():
    one, two = ROWS
    assert one.speed_up(one) == (1, 1, 1)
    assert one.efficiency(one) == 1
    assert two.speed_up(one) == (1.5, 2, 2.5)
    assert two.efficiency(one) == 1
    assert scaling.table(ROWS, "A title") == [
        "A title, medians of 3 rounds",
        "processes   s / step  speed-up    (quartiles) efficiency     bytes sent",
        "        1     3.0000      1.00    (1.00 1.00)       100%              0",
        "        2     2.0000      2.00    (1.50 2.50)       100%          1,200",
    ]
    assert scaling.as_json(ROWS)[1] == {
        "processes": 2,
        "seconds": [2.0, 2.0, 1.0],
        "sent": [1000, 1200],
        "expected": [1000, 1200],
        "speed_up": (1.5, 2, 2.5),
        "efficiency": 1,
    }


def test_the_picture(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path, dpi: figures.append((figure, path, dpi)))
    shares = [Share(0.004, 0.003, 0.001, 1000.0, 0.9), Share(0.003, 0.0015, 0.002, 1200.0, 0.8)]
    plots.scaling(ROWS, shares, "a title", "a.svg")
    ((figure, *where),) = figures
    assert where == ["a.svg", 120]
    assert figure.get_suptitle() == "a title"
    assert figure.get_size_inches().tolist() == [12, 5]
    left, right = figure.axes
    ideal, measured = left.lines
    assert ideal.get_xydata().tolist() == [[0, 0], [2, 2]]
    assert measured.get_xydata().tolist() == [[1, 1], [2, 2]]
    (quartiles,) = left.collections
    assert [segment.tolist() for segment in quartiles.get_segments()] == [[[1, 1], [1, 1]], [[2, 1.5], [2, 2.5]]]
    assert all(tick == int(tick) for tick in left.get_xticks())
    assert (left.get_xlabel(), left.get_ylabel()) == ("processes", "speed-up")
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["ideal", "measured, with quartiles"]
    bars = {
        bars.get_label(): (to_hex(bars[0].get_facecolor()), [(bar.get_x(), bar.get_width()) for bar in bars])
        for bars in right.containers
    }
    assert bars == {
        "computing": (COLOURS["forward"], [(0, 4), (0, 3)]),
        "waiting": (COLOURS["dx"], [(4, 1), (3, 2)]),
        "exchanging": (COLOURS["dw"], [(0, 3), (0, 1.5)]),
    }
    assert [label.get_text() for label in right.get_yticklabels()] == ["process 0", "process 1"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == list(bars)
    assert right.get_xlabel() == "milliseconds a step"
    assert right.yaxis_inverted()
    computing, waiting, exchanging = right.containers
    for above, beside, below in zip(computing, waiting, exchanging, strict=True):
        assert above.get_y() == beside.get_y()
        assert below.get_y() == pytest.approx(above.get_y() + above.get_height())

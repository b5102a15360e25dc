"""The sums of a training's log, and its timings, by hand."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from tinyalexnet.training.progress import Pace, Sums
from tinyalexnet.training.timings import Timings


def test_means_of_steps_of_different_sizes():
    """The loss is the mean over the steps, the accuracy that over the images."""
    sums = Sums()
    sums.add(2.0, 3, 4)
    sums.add(1.0, 1, 2)
    assert sums == Sums(2, 3.0, 4, 6)
    assert sums.means == {"loss": 1.5, "accuracy": 4 / 6}


def test_a_pace_is_that_of_the_median_step_since_it_was_asked():
    pace = Pace(12)
    assert pace.taken() is None
    pace.seconds += [0.5, 100.0, 0.25]
    assert pace.taken() == 24
    assert pace.taken() is None


def test_timings_are_those_since_they_were_asked():
    """Of a link that has sent something before, and does so again."""
    link = SimpleNamespace(sent=Counter(gather=100), now=lambda ask: ask(), texts=lambda own: [own, own])
    timings = Timings(link)
    for seconds, waited in ((2.0, 0.5), (1 / 3, 0.25)):
        timings.took(seconds, waited)
        link.sent["counts"] += 8
        own = {"seconds": round(seconds, 6), "waited": waited, "sent": {"counts": 8}}
        assert timings.taken() == {"steps": 1, "processes": [own, own]}
    timings.took(4.0, 2.0)
    timings.begin()
    assert timings.taken() == {"steps": 0, "processes": [{"seconds": 0.0, "waited": 0.0, "sent": {}}] * 2}

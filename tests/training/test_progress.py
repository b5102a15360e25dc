"""The sums of a training's log by hand."""

from __future__ import annotations

from tinyalexnet.training.progress import Pace, Sums


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

"""The estimate of a run's memory, counted by hand for layers that keep this and that."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet.benchmark import memory

SHAPES = {"a": (2, 50), "b": (5, 2), "c": (2, 10), "d": (2, 10)}
X = (2, 5)
"""x has 40 bytes, the outputs 400, 40, 80 and 80."""

PARAMETERS, IMAGES, FIXED = 100, 40, 1000
"""Bytes."""

KEPT = 400 + 7 + 80
"""The input of b, what b saves, and the output of c. The images are there anyway, and d works in c's output."""


def layer(keeps_input=False, keeps_output=False, in_place=False, scratch=(), saved=0, temporary=0):
    return SimpleNamespace(
        keeps_input=keeps_input,
        keeps_output=keeps_output,
        in_place=in_place,
        scratch_bytes=lambda shape: scratch,
        saved_bytes=lambda shape: saved,
        temporary_elements=lambda shape: temporary,
    )


class Net(dict):
    params = {"w": np.zeros((5, 5), np.float32)}  # noqa: RUF012

    def output_shapes(self, shape):
        return SHAPES


def estimate(monkeypatch, backward, **device):
    layers = {
        "a": layer(keeps_input=True, scratch=(16, 8)),
        "b": layer(keeps_input=True, saved=7),
        "c": layer(keeps_output=True, temporary=1000, scratch=(40,)),
        "d": layer(keeps_output=True, in_place=True),
    }
    monkeypatch.setattr(memory, "device", lambda name: SimpleNamespace(fixed_memory=FIXED, **device))
    return memory.memory_estimate(Net(layers), X, "any", backward)


@pytest.mark.parametrize(("backward", "copies", "passing"), [(False, 1, 80 + 4000), (True, 3, 80 + 40 + 4000)])
def test_on_top_come_the_arrays_and_temporaries_of_the_largest_layer(monkeypatch, backward, copies, passing):
    """c: its output, in a backward its input's gradient too, and a thousand float32."""
    found = estimate(monkeypatch, backward, makes_temporaries=True, reuses_by_size=False)
    assert found == FIXED + copies * PARAMETERS + IMAGES + 2 * KEPT + passing


@pytest.mark.parametrize(("backward", "copies", "passing"), [(False, 1, 400), (True, 3, 40 + 400)])
def test_without_temporaries_the_largest_are_the_arrays_alone(monkeypatch, backward, copies, passing):
    found = estimate(monkeypatch, backward, makes_temporaries=False, reuses_by_size=False)
    assert found == FIXED + copies * PARAMETERS + IMAGES + 2 * KEPT + passing


@pytest.mark.parametrize(("backward", "copies", "waiting"), [(False, 1, 16 + 40), (True, 3, 0)])
def test_memory_by_size_has_one_array_of_each_and_what_a_forward_alone_leaves(monkeypatch, backward, copies, waiting):
    """Scratch of 16, 8 and 40 bytes, and the input of c, which has 40 bytes too. Gradients have room for what waits."""
    found = estimate(monkeypatch, backward, makes_temporaries=False, reuses_by_size=True)
    assert found == FIXED + copies * PARAMETERS + IMAGES + 2 * KEPT + (16 + 8 + 40) + waiting


def test_gradients_have_room_for_what_waits_as_far_as_they_reach(monkeypatch):
    """Of the 56 bytes that wait the two copies of the gradients of a single parameter take 8."""
    monkeypatch.setattr(Net, "params", {"w": np.zeros(1, np.float32)})
    found = estimate(monkeypatch, True, makes_temporaries=False, reuses_by_size=True)
    assert found == FIXED + 3 * 4 + IMAGES + 2 * KEPT + (16 + 8 + 40) + (56 - 2 * 4)

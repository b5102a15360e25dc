"""The sides of an identity, what they may differ by, and the real numbers that it is tried on."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.dojo import identities
from tinyalexnet.dojo.identities import GAP, REACH, REAL_TOLERANCE, SLOPE_TOLERANCE, Pair, Sides, right

DENSE = Pair(SUBJECTS["dense_forward"], SUBJECTS["dense_backward"])


def test_sides_are_equal_up_to_what_is_allowed_and_vacuous_if_both_are_0():
    assert Sides(1.0, 2.0, 1.0).equal
    assert not Sides(1.0, 2.0, 0.5).equal
    assert Sides(0.0, 0.0, 1.0).vacuous
    assert not Sides(1.0, 1.0, 1.0).vacuous


def test_the_difference_that_is_allowed_is_relative_to_the_sizes(rng):
    """⟨dx, x⟩ is at most ‖dx‖ ‖x‖, and ⟨dx, v⟩ is about ‖dx‖; dx of zeros leaves what the forward says."""
    pool = {"x": rng.standard_normal((3, 4)), "w": rng.standard_normal((4, 2)), "b": rng.standard_normal(2)}
    pool["dout"] = rng.standard_normal((3, 2))
    v = rng.standard_normal((3, 4))
    forward, backward = right(DENSE.forward), right(DENSE.backward)
    dx = backward(pool)["dx"]

    def zeros(pool):
        return {"dx": np.zeros_like(dx)}

    adjoint = DENSE.adjoint(forward, backward, pool, "dx")
    assert adjoint.equal
    assert adjoint.gradient == pytest.approx(np.sum(dx * pool["x"]))
    assert adjoint.allowed == pytest.approx(REAL_TOLERANCE * np.linalg.norm(dx) * np.linalg.norm(pool["x"]))
    wrong = DENSE.adjoint(forward, zeros, pool, "dx")
    assert wrong.allowed == pytest.approx(REAL_TOLERANCE * abs(np.sum(dx * pool["x"])))
    slope = DENSE.slope(forward, backward, pool, "dx", v)
    assert slope.equal
    assert slope.forward == pytest.approx(np.sum(dx * v))
    assert slope.allowed == pytest.approx(SLOPE_TOLERANCE * np.linalg.norm(dx))
    assert DENSE.slope(forward, zeros, pool, "dx", v).allowed == pytest.approx(SLOPE_TOLERANCE * abs(np.sum(dx * v)))


@pytest.mark.parametrize(("count", "gap"), [(1, 2 * REACH), (8, REACH / 4), (200, GAP)])
def test_real_numbers_are_apart_and_about_as_large_as_they_should_be(rng, count, gap):
    found = np.sort(identities._real(np.zeros(count), rng))
    np.testing.assert_allclose(np.diff(found), gap)
    assert np.abs(found).max() == pytest.approx((count // 2 or 1) * gap - gap / 2)
    assert identities._real(np.zeros(count, int), rng).tolist() == [0] * count

"""Winograd: exact matrices, the three passes against gemm and against each other, accuracy, and the choice."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from backends import JIT, Backend, fewer
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import Case, cases

from tinyalexnet import Conv2d, alexnet
from tinyalexnet.devices.cpu import memory
from tinyalexnet.geometry import Window
from tinyalexnet.gradcheck import assert_gradients
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd import cpu
from tinyalexnet.ops.conv2d.winograd.blocks import filters_from_blocks, filters_to_blocks
from tinyalexnet.ops.conv2d.winograd.choice import ABILITIES, choose_tile, has_small_tiles, performed_multiply_adds
from tinyalexnet.ops.conv2d.winograd.cpu import plan as of_plans
from tinyalexnet.ops.conv2d.winograd.cpu import transforms
from tinyalexnet.ops.conv2d.winograd.cpu.plan import (
    FEW,
    LANES,
    MOST_IN_BLOCK,
    Images,
    Limits,
    Sizes,
    blocks_of,
    even_blocks,
    image_view,
    plan_accumulation,
    plan_convolution,
)
from tinyalexnet.ops.conv2d.winograd.matrices import MOST_POINTS, POINTS, Tile, cook_toom

ALL = [(m, r) for r in range(1, MOST_POINTS + 1) for m in range(1, MOST_POINTS + 2 - r)]
# As plain Python, and on an emulated GPU, the passes take seconds for a case of this size.
examples = fewer(compiled=0.5, otherwise=0.13)


@pytest.mark.parametrize(("m", "r"), ALL)
def test_the_matrices_are_exact(m, r):
    """Of each input times each filter element: the coefficient in each output, 1 if they belong together, else 0."""
    t = cook_toom(m, r)
    n = m + r - 1
    assert t.n == n <= MOST_POINTS
    for output in range(m):
        for i in range(n):
            for k in range(r):
                product = sum((t.at[output][p] * t.g[p][k] * t.bt[p][i] for p in range(n)), start=Fraction(0))
                assert product == (i == output + k)


@pytest.mark.parametrize(("m", "r"), [(m, r) for m, r in ALL if m > 1])
def test_a_smaller_tile_has_the_first_points_and_their_rows_of_g(m, r):
    """So the same transformed filters serve tiles of both sizes; A agrees too, but for the last output."""
    large, smaller = cook_toom(m, r), cook_toom(m - 1, r)
    assert large.g[:-1] == smaller.g
    assert [row[1:-1] for row in large.at[:-1]] == [row[1:] for row in smaller.at]


def test_the_rows_of_g_are_of_size_one():
    """Powers of two keep U as large as w, within √2: multiplying by them is exact in floating point."""
    for m, r in ALL:
        for row in cook_toom(m, r).g:
            assert 1 / 2 <= sum(map(abs, row)) ** 2 <= 2


@pytest.mark.parametrize(("m", "r"), [(0, 3), (3, 0), (7, 3), (1, 9)])
def test_sizes_without_matrices_are_refused(m, r):
    with pytest.raises(ValueError, match=f"m and r are {m} and {r}, but must be at least 1"):
        cook_toom(m, r)


def test_points_are_distinct():
    assert len(set(POINTS)) == len(POINTS) == MOST_POINTS - 1


def passes(run, case, arrays, algorithm):
    x, w, b, dout = arrays
    last = case.window, case.groups, algorithm
    out, dx = run(conv2d_forward, x, w, b, *last), run(conv2d_backward_input, dout, w, x.shape, *last)
    return out, dx, *run(conv2d_backward_params, dout, x, *last)


def direct_passes(case, arrays):
    return passes(Backend("reference"), case, arrays, "gemm")


@functools.cache
def exact_passes(case):
    """Of the normal numbers of a case in float64, which all schedules have to compute."""
    return list(direct_passes(case, case.normals(np.float64)))


def possible(run, case):
    """The case, with stride 1 if this backend's Winograd has no other; only if there is a tile for its kernel."""
    if not ABILITIES[run.name].strides:
        # They are about strides, and blocks of filters on a CPU; an emulated GPU takes 5 s for each.
        assume(case not in (STRIDED_PADDED, UNREACHED_PIXELS, TWO_BLOCKS_EACH_WAY))
        case = replace(case, window=Window(case.window.kernel, 1, case.window.padding))
    assume(all(-(-k // s) <= MOST_POINTS for k, s in zip(case.window.kernel, case.window.stride, strict=True)))
    return case


def close(found, expected, bound):
    """Relative L2 error within the bound; within it of 1 if 0 is expected."""
    size = np.linalg.norm(expected.ravel()) or 1.0
    assert np.linalg.norm((found - expected).ravel()) <= bound * size


SEVERAL_TASKS = Case(Window(3, 1, "SAME"), (5, 13, 12, 7), 70, 1, 1)
TWO_BLOCKS_EACH_WAY = Case(Window((3, 2), 1, "SAME"), (2, 9, 8, 66), 130, 1, 2)
GROUPS_OF_TWO_BLOCKS = Case(Window(3, 1, "SAME"), (2, 9, 8, 132), 140, 2, 6)
GROUPS_OF_FULL_BLOCKS = Case(Window((3, 2), 1, "SAME"), (2, 9, 8, 192), 128, 2, 8)
FIRST_LAYER = Case(Window(11, 4), (2, 35, 31, 3), 5, 1, 3)
# 10 = 4 + 3 + 3 rows and 13 = 5 + 4 + 4 columns: sums of eight terms along both axes, of five and of four for filters.
EIGHT_POINTS = Case(Window((5, 4), 1, "SAME"), (2, 10, 13, 3), 5, 1, 7)
STRIDED_PADDED = Case(Window((5, 4), (2, 3), ((1, 3), (2, 0))), (2, 17, 19, 30), 20, 2, 4)
# Between two windows, and past the last block of 5 x 5 pixels.
UNREACHED_PIXELS = Case(Window((2, 5), 5), (1, 11, 14, 2), 3, 1, 5)


@examples
@given(case=cases())
@example(case=EIGHT_POINTS)
@example(case=SEVERAL_TASKS)
@example(case=TWO_BLOCKS_EACH_WAY)
@example(case=GROUPS_OF_TWO_BLOCKS)
@example(case=FIRST_LAYER)
@example(case=STRIDED_PADDED)
@example(case=UNREACHED_PIXELS)
def test_in_float64_it_is_the_convolution(run, case):
    """The transforms amplify rounding by some hundreds: 1e-12 is 2**13 units in the last place."""
    case = possible(run, case)
    arrays = case.normals(np.float64)
    for got, exact in zip(passes(run, case, arrays, "winograd"), direct_passes(case, arrays), strict=True):
        assert got.shape == exact.shape
        assert got.flags.c_contiguous
        close(got, exact, 1e-12)


@examples
@given(case=cases())
@example(case=SEVERAL_TASKS)
def test_in_float32_the_error_is_within_2e_5(run, case):
    """oneDNN's bound for its own Winograd, against a direct convolution in float64."""
    case = possible(run, case)
    arrays = case.normals(np.float32)
    expected = direct_passes(case, [a.astype(np.float64) for a in arrays])
    # If terms cancel, no bound relative to the result can hold: it is relative to the result without cancellation.
    sizes = direct_passes(case, [np.abs(a).astype(np.float64) for a in arrays])
    for got, exact, size in zip(passes(run, case, arrays, "winograd"), expected, sizes, strict=True):
        assert got.dtype == np.float32
        assert np.linalg.norm((got - exact).ravel()) <= 2e-5 * np.linalg.norm(size.ravel())


@pytest.mark.parametrize(
    "case",
    [
        Case(Window(3, 1, "SAME"), (2, 5, 6, 3), 4, 1, 1),
        Case(Window((2, 3), 1, ((2, 0), (1, 3))), (1, 4, 3, 4), 6, 2, 2),
    ],
    ids=["same", "groups"],
)
def test_without_cancellation_the_error_is_within_2e_5_of_the_result(run, case):
    arrays = case.normals(np.float32)
    expected = direct_passes(case, [a.astype(np.float64) for a in arrays])
    for got, exact in zip(passes(run, case, arrays, "winograd"), expected, strict=True):
        close(got, exact, 2e-5)


@examples
@given(case=cases())
def test_backward_is_the_adjoint_of_forward(run, case):
    case = possible(run, case)
    x, w, b, dout = case.normals(np.float64)
    out, dx, dw, db = passes(run, case, (x, w, np.zeros_like(b), dout), "winograd")
    scale = np.linalg.norm(x.ravel()) * np.linalg.norm(w.ravel()) * np.linalg.norm(dout.ravel())
    assert abs(np.sum(dout * out) - np.sum(x * dx)) <= 1e-12 * scale
    assert abs(np.sum(dout * out) - np.sum(w * dw)) <= 1e-12 * scale
    np.testing.assert_allclose(np.sum(b * db), np.sum(dout * b), rtol=1e-11, atol=1e-11)


def test_nan_reaches_its_tile_and_no_other_image(run):
    case = Case(Window(3, 1, "SAME"), (2, 9, 9, 2), 3, 1, 6)
    x, w, b, _ = case.normals(np.float32)
    x[0, 4, 4, 0] = np.nan
    out = run(conv2d_forward, x, w, b, case.window, 1, "winograd")
    assert np.isnan(out[0, 3:6, 3:6]).all()
    assert np.isfinite(out[1]).all()


def test_gradients_of_the_layer(backend, rng):
    conv = Conv2d(3, 4, 3, 1, "SAME", backend=backend, dtype=np.float64, rng=rng, algorithm="winograd")
    conv.params["b"][...] = rng.standard_normal(4)
    assert_gradients(conv, rng.standard_normal((2, 7, 6, 3)), step=1, tolerance=1e-11)


# --- the plan and the schedules of "cpu" ------------------------------------------------------------------------------

SCHEDULES = {
    "fused": Limits(least_rows=1),
    "fused, several strips a task": Limits(least_rows=1, least_tasks=1, chunk_bytes=228_000),
    "staged": Limits(least_rows=10**9),
    "staged, strip by strip": Limits(least_rows=10**9, held_bytes=1, split_chunks=10**9),
    "staged, several strips a chunk": Limits(least_rows=10**9, held_bytes=210_000),
    "staged, three equal chunks": Limits(least_rows=10**9, held_bytes=300_000),
    "staged, two equal chunks": Limits(least_rows=10**9, held_bytes=500_000, least_tasks=4),
    "by filters": Limits(least_rows=10**9, many_filters=1, own_bytes=10**9),
    "split": Limits(least_tasks=3, split_chunks=1, held_bytes=1, chunk_bytes=10**9),
    "split, several strips a chunk": Limits(least_tasks=3, split_chunks=1, held_bytes=110_000, chunk_bytes=10**9),
}

PLANS = {
    "fused, several strips a task": (("fused", 6), ("staged", 15, 1)),
    "staged, strip by strip": (("staged", 1), ("staged", 1, 1)),
    "staged, several strips a chunk": (("staged", 4), ("staged", 4, 1)),
    "staged, three equal chunks": (("staged", 5), ("staged", 5, 1)),
    "staged, two equal chunks": (("staged", 8), ("staged", 8, 1)),
    "by filters": (("by_filters", 15), ("by_filters", 15, 1)),
    "split": (("staged", 1), ("split", 1, 3)),
    "split, several strips a chunk": (("staged", 2), ("split", 2, 3)),
}
"""Of SEVERAL_TASKS, which has 15 strips, for the convolution and for the gradient of its filters: the schedule, the
strips of a chunk and the splits. Of four chunks of several, and of two, the last is not full."""


@pytest.mark.parametrize("name", PLANS)
def test_a_schedule_is_what_its_name_says(name):
    case = SEVERAL_TASKS
    tile = choose_tile("winograd", "cpu", case.x_shape, case.filters, case.window, case.groups, np.float64)
    depth, filters = case.x_shape[3] // case.groups, case.filters // case.groups
    how = Sizes(tile, case.x_shape[0], case.out_size, depth, filters, case.groups, 8), SCHEDULES[name], 1
    there, back = plan_convolution(*how), plan_accumulation(*how)
    assert there.grid.strips == back.grid.strips == 15
    found = (there.schedule, there.grid.chunk_strips), (back.schedule, back.grid.chunk_strips, back.splits)
    assert found == PLANS[name]


@pytest.mark.parametrize("limits", SCHEDULES.values(), ids=SCHEDULES)
@examples
@given(case=cases())
@example(case=SEVERAL_TASKS)
@example(case=TWO_BLOCKS_EACH_WAY)
@example(case=GROUPS_OF_TWO_BLOCKS)
@example(case=GROUPS_OF_FULL_BLOCKS)
def test_every_schedule_is_the_convolution(limits, case):
    """Which one a case takes by itself depends on its size."""
    case = possible(Backend("cpu"), case)
    x, w, b, dout = case.normals(np.float64)
    tile = choose_tile("winograd", "cpu", case.x_shape, case.filters, case.window, case.groups, x.dtype)
    last = case.window, case.groups, tile, limits
    found = cpu.conv2d_forward(x, w, b, *last), cpu.conv2d_backward_input(dout, w, x.shape, *last)
    found += cpu.conv2d_backward_params(dout, x, *last)
    for got, exact in zip(found, exact_passes(case), strict=True):
        close(got, exact, 1e-12)


@pytest.mark.parametrize("size", [(7, 13), (6, 11), (1, 2)])
def test_tiles_may_cover_more_than_the_image(rng, size):
    """Of two tiles of 4 for an output of 7, say, which the cost model would not choose: nothing is written outside."""
    tile, window = Tile(cook_toom(5, 3), cook_toom(5, 3)), Window(3, 1, "SAME")
    x, w, b = rng.standard_normal((2, *size, 3)), rng.standard_normal((3, 3, 3, 5)), rng.standard_normal(5)
    assert any(count * 4 > outputs for count, outputs in zip(tile.counts(size), size, strict=True))
    found = cpu.conv2d_forward(x, w, b, window, 1, tile)
    close(found, conv2d_forward(x, w, b, window, 1, "gemm", "reference"), 1e-12)
    dout = rng.standard_normal(found.shape)
    found = cpu.conv2d_backward_input(dout, w, x.shape, window, 1, tile)
    close(found, conv2d_backward_input(dout, w, x.shape, window, 1, "gemm", "reference"), 1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [SEVERAL_TASKS, TWO_BLOCKS_EACH_WAY, GROUPS_OF_TWO_BLOCKS, GROUPS_OF_FULL_BLOCKS])
def test_by_filters_has_the_bits_of_staged(case, dtype):
    x, w, b, dout = case.normals(dtype)
    tile = choose_tile("winograd", "cpu", case.x_shape, case.filters, case.window, case.groups, x.dtype)

    def passes(limits):
        last = case.window, case.groups, tile, limits
        yield cpu.conv2d_forward(x, w, b, *last)
        yield cpu.conv2d_backward_input(dout, w, x.shape, *last)
        yield from cpu.conv2d_backward_params(dout, x, *last)

    for found, expected in zip(passes(SCHEDULES["by filters"]), passes(SCHEDULES["staged"]), strict=True):
        np.testing.assert_array_equal(found, expected)


TILES = st.builds(
    lambda h, w: Tile(cook_toom(*h), cook_toom(*w)), *[st.sampled_from([(4, 3), (5, 3), (4, 5), (1, 1)])] * 2
)
SIZES = {
    "tile": TILES,
    "n": st.integers(1, 128),
    "size": st.tuples(st.integers(1, 56), st.integers(1, 56)),
    "depth": st.integers(1, 512),
    "filters": st.integers(1, 512),
    "itemsize": st.sampled_from([4, 8]),
    "threads": st.sampled_from([1, 2, 3, 4, 16]),
    "groups": st.integers(1, 3),
}
LIMITS = st.builds(
    Limits,
    chunk_bytes=st.integers(1, 8 << 20),
    most_bytes=st.integers(1, 32 << 20),
    held_bytes=st.integers(1, 32 << 20),
    near_bytes=st.integers(1, 8 << 20),
    small_bytes=st.integers(1, 8 << 20),
    least_tasks=st.integers(1, 32),
    split_chunks=st.integers(1, 6),
    least_rows=st.integers(1, 64),
    many_filters=st.integers(1, 1 << 22),
    own_bytes=st.integers(1, 8 << 20),
)


@given(**SIZES, limits=LIMITS)
def test_a_plan_covers_the_images_and_its_chunks_fit(tile, n, size, depth, filters, itemsize, limits, threads, groups):
    blocks = blocks_of(filters)
    how = Sizes(tile, n, size, depth, filters, groups, itemsize), limits, threads
    convolution, accumulation = plan_convolution(*how), plan_accumulation(*how)
    for plan in (convolution, accumulation):
        grid = plan.grid
        assert (grid.tiles_h, grid.tiles_w) == tile.counts(size)
        assert grid.strips == n * grid.tiles_h
        assert 1 <= grid.chunk_strips <= grid.strips
        # Large tiles compute m outputs and the others m - 1: no more of them than the image needs.
        for tiles, large, m, outputs in (
            (grid.tiles_h, grid.large_h, grid.m_h, size[0]),
            (grid.tiles_w, grid.large_w, grid.m_w, size[1]),
        ):
            covered = tiles * (m - 1) + large
            assert (tiles - 1) * m < outputs <= covered
            assert large == 0 or covered == outputs
    of_strip = 4 * tile.points * convolution.grid.tiles_w * (depth + blocks.filters)
    u_bytes = tile.points * depth * blocks.filters * itemsize
    fused = convolution.schedule == "fused"
    if fused:
        assert convolution.grid.chunk_strips * convolution.grid.tiles_w >= limits.least_rows
    if fused and convolution.grid.chunk_strips > 1:
        in_cache = max(limits.chunk_bytes, min(u_bytes, limits.most_bytes))
        tasks = -(-convolution.grid.strips // convolution.grid.chunk_strips)
        few = tasks <= 3 * limits.least_tasks
        assert convolution.grid.chunk_strips * of_strip <= in_cache * (5 / 4 if few else 1)
        assert convolution.grid.chunk_strips <= -(-convolution.grid.strips // limits.least_tasks)
    for plan in (convolution, accumulation):
        held = plan.schedule == "staged"
        if held and plan.grid.chunk_strips > 1:
            assert plan.grid.chunk_strips * of_strip <= limits.held_bytes
        chunks = -(-plan.grid.strips // plan.grid.chunk_strips)
        if held and chunks <= FEW:
            assert plan.grid.strips > chunks * (plan.grid.chunk_strips - 1)  # all but equal
        assert plan.blocks == blocks or plan.schedule == "by_filters"
        if plan.schedule == "by_filters":
            assert plan.grid.chunk_strips == plan.grid.strips
            assert plan.blocks == even_blocks(filters, threads, groups)
            assert math.prod(tile.r) * depth * filters * groups >= limits.many_filters
            assert 4 * tile.points * plan.grid.strips * plan.grid.tiles_w * plan.blocks.width <= limits.own_bytes
    if accumulation.schedule == "by_filters":
        return
    if u_bytes <= limits.small_bytes and accumulation.grid.chunk_strips > 1:
        assert accumulation.grid.chunk_strips * of_strip <= limits.near_bytes
    if accumulation.splits > 1:
        assert accumulation.splits in (limits.least_tasks, limits.least_tasks // 2)
        assert u_bytes <= limits.chunk_bytes  # dU has the size of U
        assert accumulation.grid.chunk_strips * of_strip <= limits.chunk_bytes
        per_task = accumulation.grid.strips // accumulation.splits
        chunks = per_task // accumulation.grid.chunk_strips
        assert chunks >= max(1, limits.split_chunks * u_bytes // limits.chunk_bytes)
        # All but equal: a strip less in each would be too few.
        most = -(-accumulation.grid.strips // accumulation.splits)
        assert most > -(-most // accumulation.grid.chunk_strips) * (accumulation.grid.chunk_strips - 1)


@pytest.mark.parametrize("filters", range(1, 200))
def test_blocks_of_filters_are_few_even_and_hardly_wider_than_they_must_be(filters):
    blocks = blocks_of(filters)
    assert blocks.width % LANES == 0
    assert blocks.width <= MOST_IN_BLOCK
    assert (blocks.number - 1) * MOST_IN_BLOCK < filters <= blocks.filters < filters + blocks.number * LANES


@pytest.mark.parametrize("filters", [1, 16, 17, 64, 96, 128, 192, 256, 384, 400])
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 16])
def test_blocks_are_as_many_for_each_thread_or_there_are_none(filters, threads):
    possible = [blocks_of(filters, most) for most in (64, 32, 16)]
    even = [some for some in possible if some.number % threads == 0]
    assert even_blocks(filters, threads, 1) == next(iter(even), None)
    full = [some for some in possible if 3 * some.number % threads == 0 and some.filters == filters]
    assert even_blocks(filters, threads, 3) == next(iter(full), None)


def planned(n, size, depth, filters, m=(5, 5), r=(3, 3), threads=2, **limits):
    tile = Tile(cook_toom(m[0], r[0]), cook_toom(m[1], r[1]))
    how = Sizes(tile, n, size, depth, filters, 1, 4), Limits(**limits), threads
    return plan_convolution(*how), plan_accumulation(*how)


def test_the_batch_size_decides_which_schedule_runs():
    """conv3 and conv1 of the benchmark, of a batch and of one image."""
    conv3, image = planned(128, (13, 13), 192, 384), planned(1, (13, 13), 192, 384)
    assert conv3[0].schedule == "fused"
    assert conv3[0].grid.chunk_strips == 128 * 3 // Limits().least_tasks
    of_strip = 4 * 49 * 3 * (192 + 384)
    larger = planned(256, (13, 13), 192, 384)[0].grid
    assert larger.chunk_strips == Limits().most_bytes // of_strip  # U has 14 MB
    assert image[0].schedule == "by_filters"
    # 96 strips are 6 for each of 16 tasks, with 18 rows: enough.
    assert planned(32, (13, 13), 256, 256)[0].schedule == "fused"
    assert conv3[1].splits == image[1].splits == 1
    # An 11 x 11 kernel at stride 4 is 3 x 3 of blocks of 48 elements. Of 8 images 8 tasks have less than a chunk each.
    splits = [planned(n, (55, 55), 48, 64)[1].splits for n in (128, 32, 16, 8)]
    assert splits == [16, 16, 8, 1]


def test_many_filters_of_a_small_batch_are_made_by_filters():
    """conv3 of the benchmark: M of 27 strips, those of nine images, and a block of 64 filters has 1 MB."""
    conv3 = (13, 13), 192, 384

    def schedules(n, **changes):
        return tuple(plan.schedule for plan in planned(n, *conv3, **changes))

    assert {schedules(n) for n in (1, 9)} == {("by_filters", "by_filters")}
    assert schedules(10) == ("staged", "staged")
    # Six blocks of 64 filters, twelve of 32, and of any width not as many for each of five threads.
    widths = [planned(1, *conv3, threads=threads)[0].blocks.width for threads in (1, 2, 3, 4)]
    assert widths == [64, 64, 64, 32]
    assert schedules(1, threads=5) == ("staged", "staged")
    assert schedules(1, many_filters=9 * 192 * 384) == ("by_filters", "by_filters")
    assert schedules(1, many_filters=9 * 192 * 384 + 1) == ("staged", "staged")
    # Three blocks of 64 are not as many for each of two threads, but those of two groups are.
    tile = Tile(cook_toom(5, 3), cook_toom(5, 3))
    for plan in (plan_convolution, plan_accumulation):
        both = plan(Sizes(tile, 1, (13, 13), 192, 192, 2, 4), Limits(), 2)
        assert (both.schedule, both.blocks) == ("by_filters", (3, 64))
    assert plan_convolution(Sizes(tile, 1, *conv3, 1, 4), Limits(), None).schedule == "staged", "U is there already"


def test_few_tasks_are_as_many_for_each_of_sixteen_threads():
    """conv2 of the benchmark: a chunk of 6 strips fits its size, which makes 19 of 112, 38 of 224 and 150 of 896."""
    plans = [planned(n, (27, 27), 64, 192, (4, 4), (5, 5))[0] for n in (16, 32, 128)]
    assert {plan.schedule for plan in plans} == {"fused"}
    assert [plan.grid.chunk_strips for plan in plans] == [7, 7, 6]


def test_few_chunks_are_equal_and_of_many_each_is_for_all_tasks():
    """conv5 of the benchmark, whose chunks may have 40 strips: 24 strips, 48 and 384."""
    assert [planned(n, (13, 13), 256, 256)[1].grid.chunk_strips for n in (8, 16, 128)] == [24, 24, 32]


@pytest.mark.parametrize("stride", [(1, 1), (1, 2), (2, 1), (2, 3)])
def test_filters_over_blocks_have_each_element_once(rng, stride):
    w = rng.integers(1, 9, (3, 4, 2, 5))
    blocks = filters_to_blocks(w, stride)
    assert blocks.shape == (-(-3 // stride[0]), -(-4 // stride[1]), stride[0] * stride[1] * 2, 5)
    for kh, kw, c in np.ndindex(3, 4, 2):
        channel = (kh % stride[0] * stride[1] + kw % stride[1]) * 2 + c
        np.testing.assert_array_equal(blocks[kh // stride[0], kw // stride[1], channel], w[kh, kw, c])
    assert np.count_nonzero(blocks) == w.size
    np.testing.assert_array_equal(filters_from_blocks(blocks, Window((3, 4), stride)), w)


def test_schedules_change_at_the_very_value_of_their_limits():
    conv1 = (55, 55), 48, 64
    du_bytes = 49 * 48 * 64 * 4

    def splits(n, **limits):
        return planned(n, *conv1, **limits)[1].splits

    schedules = [planned(128, (13, 13), 192, 384, least_rows=24 * 3 + more)[0].schedule for more in (0, 1)]
    assert schedules == ["fused", "staged"]
    assert [splits(128, chunk_bytes=size) for size in (du_bytes - 1, du_bytes)] == [1, 16]
    # Four chunks of two strips in each of 16 slices: of 12 images with 11 strips, not of 11; in each of 8: of 6.
    assert [splits(n, chunk_bytes=du_bytes) for n in (5, 6, 11, 12)] == [1, 8, 8, 16]
    # Of one image, too few strips for two: half of that is one, which is no split.
    assert [splits(1, chunk_bytes=du_bytes, least_tasks=tasks) for tasks in (1, 2)] == [1, 1]
    assert splits(128, least_tasks=2) == 2
    alone = {"least_tasks": 1, "held_bytes": 10**9}
    assert planned(128, *conv1, **alone)[1] == planned(128, *conv1, **alone, split_chunks=10**9)[1]
    # 83 strips of a slice in chunks of at most 13: seven, of at most 12.
    assert planned(120, *conv1, small_bytes=1)[1].grid.chunk_strips == 12


def test_a_small_dw_is_summed_in_chunks_that_a_core_can_keep_and_in_as_many_copies_as_before():
    cifar2 = (12, 12), 64, 64, (4, 4), (5, 5)
    # 2 MB are 21 strips of three tiles with 8 x 8 points of 64 + 64 channels; dU has 1 MB.
    assert [planned(n, *cifar2)[1].grid.chunk_strips for n in (1, 4, 8, 16, 64)] == [3, 12, 12, 16, 16]
    assert planned(16, *cifar2, small_bytes=(1 << 20) - 1)[1].grid.chunk_strips == 48
    assert planned(16, *cifar2, near_bytes=1)[1].grid.chunk_strips == 1
    for n in (1, 16, 64, 128):
        usual, whole = planned(n, *cifar2)[1], planned(n, *cifar2, small_bytes=1)[1]
        assert usual.splits == whole.splits
    # The 48 strips of a task would be two chunks, and are three equal ones.
    assert (whole.splits, whole.grid.chunk_strips, usual.grid.chunk_strips) == (8, 24, 16)


@pytest.mark.compiled
@pytest.mark.parametrize("limits", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("filters", "groups"), [(64, 1), (96, 2), (72, 1)])
def test_images_that_are_written_past_the_caches_have_the_same_bits(rng, monkeypatch, limits, filters, groups):
    """With blocks of 64, of 48, and one whose last channels fill no vector, which is then not written so."""
    x_shape, window = (5, 26, 26, 16), Window(3, 1, "SAME")
    x, w = rng.standard_normal(x_shape, np.float32), rng.standard_normal((3, 3, 16 // groups, filters), np.float32)
    b, views = rng.standard_normal(filters, np.float32), []
    tile = choose_tile("winograd", "cpu", x_shape, filters, window, groups, x.dtype)
    convolve = cpu._convolve_group
    monkeypatch.setattr(cpu, "_convolve_group", lambda *given: views.append(given[-1]) or convolve(*given))
    found = []
    for most in (of_plans.STREAMED_BYTES, 0):
        monkeypatch.setattr(of_plans, "STREAMED_BYTES", most)
        found.append(cpu.conv2d_forward(x, w, b, window, groups, tile, limits))
    np.testing.assert_array_equal(*found)
    half = len(views) // 2
    assert [view.streams for view in views] == [False] * half + [filters != 72] * half


@pytest.mark.skipif(JIT, reason="compiled, rows must begin at multiples of 64 bytes")
def test_plain_python_writes_the_same_where_it_would_go_past_the_caches(rng, monkeypatch):
    x, w, b = rng.standard_normal((2, 7, 9, 3)), rng.standard_normal((3, 3, 3, 5)), rng.standard_normal(5)
    window, fences = Window(3, 1, "SAME"), []
    tile = choose_tile("winograd", "cpu", x.shape, 5, window, 1, x.dtype)
    expected = cpu.conv2d_forward(x, w, b, window, 1, tile)
    monkeypatch.setattr(of_plans, "STREAMED_BYTES", 0)
    monkeypatch.setattr(of_plans, "_in_vectors", lambda *_: True)
    monkeypatch.setattr(transforms, "fence", lambda: fences.append(1))
    np.testing.assert_array_equal(cpu.conv2d_forward(x, w, b, window, 1, tile), expected)
    assert fences


def test_large_images_whose_blocks_are_whole_lines_are_written_past_the_caches(monkeypatch):
    monkeypatch.setattr(of_plans, "STREAMED_BYTES", 1 << 18)
    images = memory.empty((2, 64, 32, 64), np.float32)

    def streams(array, first=0, stride=(1, 1)):
        return image_view(Images(array, (0, 0), stride), slice(first, array.shape[3])).streams

    assert streams(images)
    assert streams(images, 16)
    assert not streams(images, 8)
    assert not streams(images, stride=(1, 2))
    assert not streams(images.reshape(-1)[1:-63].reshape(1, 1, -1, 64))
    assert not streams(images.reshape(2, 64, 256, 8))
    assert not streams(images.reshape(-1)[: 1 << 16].reshape(1, 32, 32, 64))


def test_blocks_of_pixels_cover_an_image_and_its_padding():
    images = np.zeros((2, 9, 8, 4), np.float32)
    assert Images(images, (2, 1), (2, 3)).size_in_blocks() == (6, 3)
    assert Images(images, (0, 0), (1, 1)).size_in_blocks() == (9, 8)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_finite_numbers_of_up_to_1e30_stay_finite(backend):
    """V has up to 455 times the largest pixel, and A adds up to 4497 times the largest sum: docs/winograd.md."""
    rng = np.random.default_rng(8)
    w = rng.uniform(-1, 1, (3, 3, 8, 8)).astype(np.float32)
    x, dout = (1e30 * rng.uniform(-1, 1, (3, 13, 13, 8)) for _ in range(2))
    for window in (Window(3, 1, "SAME"), Window(3, 2, "SAME")):
        found = conv2d_forward(x.astype(np.float32), w, np.zeros(8, np.float32), window, 1, "winograd", backend)
        exact = conv2d_forward(x, w.astype(np.float64), np.zeros(8), window, 1, "gemm", "reference")
        assert np.linalg.norm(found - exact) <= 2e-5 * np.linalg.norm(exact)
    found = conv2d_backward_input(dout.astype(np.float32), w, x.shape, Window(3, 1, "SAME"), 1, "winograd", backend)
    assert np.isfinite(found).all()


# --- the choice ------------------------------------------------------------------------------------------------------

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
CONV3 = (128, 13, 13, 192), 384, Window(3, 1, "SAME"), 1


@pytest.mark.parametrize("n", [10, 128, 512])
def test_auto_takes_winograd_for_every_layer_of_alexnet(n):
    net, shape = alexnet(backend="reference"), (n, 227, 227, 3)
    tiles = {}
    for name, layer in net:
        if isinstance(layer, Conv2d):
            tile = choose_tile("auto", "cpu", shape, layer.params["w"].shape[3], layer.window, 1, F32)
            tiles[name] = tile and (tile.m, tile.r)
        shape = layer.output_shape(shape)
    three = ((5, 5), (3, 3))
    assert tiles == {"conv1": three, "conv2": ((4, 4), (5, 5)), "conv3": three, "conv4": three, "conv5": three}


def test_auto_falls_back_to_gemm():
    assert choose_tile("auto", "cpu", *CONV3, F32).m == (5, 5)
    assert choose_tile("gemm", "cpu", *CONV3, F32) is None
    assert choose_tile("auto", "cpu", *CONV3, F64) is None
    assert choose_tile("winograd", "cpu", *CONV3, F64).m == (5, 5)
    # A filter of one element leaves nothing to save, three channels leave little, and one of nine has no tile.
    assert choose_tile("auto", "cpu", (128, 13, 13, 192), 384, Window(1), 1, F32) is None
    assert choose_tile("auto", "cpu", (128, 13, 13, 3), 4, Window(3), 1, F32) is None
    assert choose_tile("auto", "cpu", (128, 33, 33, 192), 384, Window(9), 1, F32) is None


def test_auto_on_a_gpu_takes_winograd_for_stride_1_alone():
    """Decided by shapes, so that no GPU is needed to ask."""
    assert choose_tile("auto", "cuda", *CONV3, F32).r == (3, 3)
    assert choose_tile("auto", "cuda", *CONV3, F64) is None
    assert choose_tile("gemm", "cuda", *CONV3, F32) is None
    strided = (128, 227, 227, 3), 64, Window(11, 4), 1
    assert choose_tile("auto", "cuda", *strided, F32) is None
    assert choose_tile("auto", "cpu", *strided, F32) is not None
    with pytest.raises(ValueError, match=r"must be 'auto' or 'gemm' on backend 'cuda' for stride \(4, 4\)"):
        choose_tile("winograd", "cuda", *strided, F32)


def test_each_group_has_the_tile_of_a_convolution_of_its_size():
    """Of tiles that cost the same, as 2 x 5 and 5 x 2 on a square, the one with fewer rows."""
    window = Window(3, 1, "SAME")
    for groups in (1, 4):
        layer = (1, 13, 13, 16 * groups), 16 * groups, window, groups, F32
        assert choose_tile("winograd", "cpu", *layer).m == (2, 5)
        # More images have too many windows for the schedule of few.
        assert choose_tile("auto", "cpu", *layer) is choose_tile("auto", "cpu", (8, *layer[0][1:]), *layer[1:]) is None


def test_a_stride_has_the_tile_of_a_convolution_over_blocks_of_pixels():
    strided = choose_tile("winograd", "cpu", (1, 24, 24, 4), 4, Window(6, 2), 1, F32)
    assert strided == choose_tile("winograd", "cpu", (1, 12, 12, 16), 4, Window(3), 1, F32)
    assert strided.m == (2, 5)


def test_the_multiply_adds_of_points_blocks_and_groups():
    """13 = 5 + 4 + 4 outputs have 7 + 6 + 6 points; a block of 2 x 3 pixels has six times the channels."""
    tile = Tile(cook_toom(5, 3), cook_toom(5, 3))
    found = performed_multiply_adds(tile, "cpu", (2, 26, 39, 8), 10, Window((6, 9), (2, 3), "SAME"), 2)
    assert found == 2 * 19 * 19 * (2 * 3 * 8 // 2) * 10


def test_small_tiles_on_a_gpu_need_512_tiles_and_must_save_a_tenth_of_the_points():
    tile = Tile(cook_toom(5, 3), cook_toom(5, 3))
    # 9 = 5 + 4 both ways: 13 * 13 points in place of 14 * 14. 10 = 5 + 5 has none.
    assert has_small_tiles(tile, "cuda", 128, (9, 9))
    assert not has_small_tiles(tile, "cuda", 127, (9, 9))
    assert not has_small_tiles(tile, "cuda", 128, (10, 9))
    assert not has_small_tiles(tile, "reference", 128, (9, 9))


def test_what_the_choice_refuses():
    with pytest.raises(ValueError, match="algorithm is 'fft', but must be one of 'auto', 'gemm', 'winograd'"):
        choose_tile("fft", "cpu", *CONV3, F32)
    with pytest.raises(ValueError, match=r"algorithm is 'winograd', but .* kernel_size of at most 8 strides"):
        choose_tile("winograd", "cpu", (1, 33, 33, 1), 1, Window(9), 1, F32)
    with pytest.raises(ValueError, match=r"algorithm is 'winograd', but must be 'auto' or 'gemm' .* stride \(2, 2\)"):
        choose_tile("winograd", "cuda", (1, 33, 33, 1), 1, Window(3, 2), 1, F32)
    assert choose_tile("auto", "cuda", (128, 33, 33, 192), 384, Window(3, 2), 1, F32) is None
    with pytest.raises(ValueError, match="algorithm is 'fft', but must be one of"):
        Conv2d(1, 1, 3, algorithm="fft")


def test_a_tile_counts():
    tile = Tile(cook_toom(5, 3), cook_toom(4, 5))
    assert (tile.m, tile.r, tile.n, tile.points) == ((5, 4), (3, 5), (7, 8), 56)
    assert tile.counts((13, 13)) == (3, 4)
    assert tile.large_counts((13, 13)) == (1, 1)  # 5 + 4 + 4 and 4 + 3 + 3 + 3
    assert tile.points_of((13, 13)) == (7 + 6 + 6) * (8 + 7 + 7 + 7)
    assert tile.smaller == Tile(cook_toom(4, 3), cook_toom(3, 5))
    assert (tile.counts((10, 2)), tile.large_counts((10, 2))) == ((2, 1), (2, 0))


def test_a_tile_of_one_output_has_no_smaller_one():
    one, two = cook_toom(1, 3), cook_toom(2, 3)
    assert Tile(two, one).smaller == Tile(one, one).smaller == Tile(one, one)


def test_matrices_are_read_only():
    tile = Tile(cook_toom(2, 3), cook_toom(3, 2))
    for matrix in (*tile.at(F32), *tile.g(F64), *tile.bt(F32)):
        assert not matrix.flags.writeable


@pytest.mark.parametrize(("m", "r"), ALL)
def test_the_sum_point_adds_up_and_is_added(m, r):
    tile = Tile(cook_toom(m, r), cook_toom(1, 1))
    assert all(outputs[tile.sum_point] == 1 for outputs in tile.height.at)

"""docs/tasks.py: its tasks are those of the kernels, and a step divides them evenly among up to 16 threads."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.np.ufunc import workqueue

from tinyalexnet.alexnet import VARIANTS

ROOT = Path(__file__).parent.parent
# At the end, so that no file there hides another module.
sys.path.append(str(ROOT / "docs"))
counts, of_loops, tasks = map(importlib.import_module, ("task_counts", "task_loops", "tasks"))
Loop = of_loops.Loop

STEPS = (
    *(
        ("tf2015", 128),
        ("tf2015", 10),
        ("tf2015", 1),
        ("owt", 128),
        ("owt", 5),
        ("caffe", 32),
        ("caffe", 2),
        ("tf2017", 3),
    ),
    *(("mnist", 128), ("mnist", 3), ("cifar", 128), ("digits", 128), ("digits", 1)),
)

CUT_FOR = 6
"""Threads for which the steps are cut: 384 filters are blocks for all of them, 256 are not."""

ON_ONE_THREAD = {
    *("conv1 forward filters in blocks", "conv1 dw filters in blocks"),
    *("conv1 dw db", "conv2 dw db", "fc6 db", "fc7 db", "fc8 db", "sum of the loss"),
}
"""The stages of tf2015 and owt that one thread computes."""


@pytest.fixture(scope="module")
def recorded():
    """The loops of each step, while it runs as plain Python."""
    command = [sys.executable, ROOT / "tests" / "recorded_tasks.py", *(str(word) for step in STEPS for word in step)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "NUMBA_NUM_THREADS": str(CUT_FOR), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(zip(STEPS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("step", STEPS)
def test_the_loops_are_those_that_run(recorded, step):
    found = [loop for loop in counts.step(*step, CUT_FOR) if loop.kernel]
    assert [(loop.kernel, loop.tasks) for loop in found] == [(kernel, size) for kernel, size, _ in recorded[step]]


@pytest.mark.parametrize("step", STEPS)
def test_the_tasks_have_the_products_that_are_counted(recorded, step):
    compared = 0
    for loop, (_, size, products) in zip(
        (x for x in counts.step(*step, CUT_FOR) if x.kernel), recorded[step], strict=True
    ):
        if products is not None:
            assert np.broadcast_to(loop.products, size).tolist() == products, loop.stage
            compared += sum(products) > 0
    # Each convolution, and dw and dx of each dense layer.
    assert compared >= 5


def test_threads_have_the_shares_that_numba_gives_them():
    pointer = ctypes.POINTER(ctypes.c_size_t)
    schedule = ctypes.CFUNCTYPE(None, ctypes.c_size_t, pointer, pointer, ctypes.c_size_t, pointer, ctypes.c_ssize_t)(
        workqueue.do_scheduling_unsigned
    )
    for size in (1, 2, 15, 16, 17, 40, 109, 150, 196, 3456):
        for threads in (1, 2, 3, 4, 8, 16, 32, 64):
            found = np.zeros((threads, 2), np.uintp)
            first, last = ctypes.c_size_t(0), ctypes.c_size_t(size - 1)
            schedule(1, ctypes.byref(first), ctypes.byref(last), threads, found.ctypes.data_as(pointer), 0)
            bounds = of_loops.share_bounds(size, threads)
            # A thread without tasks has the range from 1 to 0, wherever it is.
            expected = [(a, b - 1) if a < b else (1, 0) for a, b in itertools.pairwise(bounds)]
            assert found.tolist() == [list(map(int, pair)) for pair in expected]


def test_the_evenness_is_the_mean_load_by_the_largest():
    uneven = Loop("_forward", 5, products=np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert uneven.largest(2) == 9  # 1 + 2 + 3 and 4 + 5
    assert of_loops.evenness([uneven], 2) == 7.5 / 9
    equal = Loop("_forward", 5, bytes=2.0)
    assert equal.loads == 2 * of_loops.BYTE
    assert equal.largest(2) == 3 * 2 * of_loops.BYTE
    # One after the other, they wait twice.
    assert of_loops.evenness([uneven, Loop("", 1, products=1.0)], 2) == 8 / (9 + 1)


def test_slices_are_cut_as_in_the_kernels():
    from tinyalexnet.devices.cpu.compiler import slice_bounds

    bounds = [slice_bounds(index, 16, 9219) for index in range(16)]
    assert of_loops.slices_of(9219, 16).tolist() == [last - first for first, last in bounds]
    assert of_loops.pieces_of(20, 8).tolist() == [8, 8, 4]
    assert of_loops.pieces_of(16, 8).tolist() == [8, 8]


@pytest.mark.parametrize("threads", [2, 4, 8, 16])
@pytest.mark.parametrize("variant", ["tf2015", "owt"])
def test_up_to_16_threads_have_even_shares(variant, threads):
    loops = counts.step(variant, 128, 2)
    whole = sum(loop.total for loop in loops)
    large = 0
    for name, some in tasks.stages(loops).items():
        if sum(loop.total for loop in some) >= tasks.SMALL * whole:
            large += 1
            assert of_loops.evenness(some, threads) >= 0.75, name
        else:
            # What its threads wait for one another is less than a five-hundredth of the step.
            waited = sum(loop.largest(threads) - loop.total / threads for loop in some)
            assert waited < whole / threads / 500, name
    assert large > 20
    assert of_loops.evenness(loops, threads) > 0.9


@pytest.mark.parametrize("variant", ["tf2015", "owt"])
def test_one_thread_alone_has_only_what_is_listed(variant):
    loops = counts.step(variant, 128, 2)
    alone = [loop for loop in loops if loop.tasks == 1]
    names = {loop.stage for loop in loops}
    assert {loop.stage for loop in alone} == ON_ONE_THREAD & names
    # With 64 threads it takes less than a fiftieth of the time that even shares would take.
    assert sum(loop.total for loop in alone) < sum(loop.total for loop in loops) / 64 / 50


def test_the_update_is_even_for_64_threads():
    """And one loop, of all parameters, whose slices differ by an element at most."""
    (loop,) = counts.updates("owt")
    assert of_loops.evenness([loop], 64) > 0.9999


def test_the_page_has_the_tables():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for variant in ("tf2015", "owt"):
        assert "\n".join(tasks.table(variant, 128, (16, 64))) in page
    assert "\n".join(tasks.of_all(16)) in page


def run(*arguments):
    command = [sys.executable, ROOT / "docs" / "tasks.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_prints_a_table():
    done = run("digits", "16", "2", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == tasks.table("digits", 16, (2, 3))
    done = run("all", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == tasks.of_all(3)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "digits"])
def test_every_network_but_the_smallest_divides_a_batch_among_16_threads(variant):
    """digits has too little to do for that."""
    assert of_loops.evenness(counts.step(variant, 128, 16), 16) > 0.84
    for batch in (1, 8, 32):
        assert of_loops.evenness(counts.step(variant, batch, 16), 16) > 0.69


@pytest.mark.parametrize(
    "arguments", [["lenet"], ["tf2015", "0"], ["tf2015", "128", "many"], ["all", "0"], ["all", "2", "3"]]
)
def test_wrong_use_prints_how_to_use_it(arguments):
    done = run(*arguments)
    assert done.returncode == 1
    assert "python docs/tasks.py" in done.stderr

"""python recorded_tasks.py VARIANT BATCH ...: the parallel loops of a step, recorded while it runs, as lines of JSON.

With NUMBA_DISABLE_JIT=1. Each loop is the name of its kernel, the number of its tasks and, if its tasks have products,
the multiply-adds of each task's. Nothing else is computed: products are counted and not made, and the tasks of other
loops do not run. So a step of any size takes seconds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numba
import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "docs"))

from task_counts import VARIANTS, network

from tinyalexnet.losses import l2_loss, softmax_cross_entropy
from tinyalexnet.ops.conv2d import cpu, cpu_few, cpu_grey
from tinyalexnet.ops.conv2d.winograd.cpu import schedules
from tinyalexnet.ops.dense import cpu as dense
from tinyalexnet.ops.dense import cpu_panels

WITH_PRODUCTS = {
    ("schedules.py", "convolve_fused"),
    ("schedules.py", "convolve_staged"),
    ("schedules.py", "convolve_by_filters"),
    ("schedules.py", "accumulate_split"),
    ("schedules.py", "accumulate_staged"),
    ("schedules.py", "accumulate_by_filters"),
    ("conv2d/cpu.py", "_forward"),
    ("cpu_few.py", "_forward"),
    ("cpu_few.py", "_backward_params"),
    ("conv2d/cpu.py", "_backward_input"),
    ("conv2d/cpu.py", "_backward_params"),
    ("cpu_grey.py", "_forward"),
    ("cpu_grey.py", "_backward_params"),
    ("dense/cpu.py", "_backward_input"),
    ("dense/cpu.py", "_backward_params"),
    ("cpu_panels.py", "_backward_input"),
    ("cpu_panels.py", "_backward_params"),
}
NOT_COMPUTED = {
    schedules: ("transform_strip", "restore_strip", "transform_filters", "restore_filters", "add_elements"),
    cpu: ("im2col", "col2im", "add_rows_to", "add_to_rows"),
    cpu_few: ("im2col", "_copy_part", "_copy_turned", "_add_to_part"),
    cpu_grey: ("_transposed_im2col", "add_rows_to", "add_to_rows"),
    cpu_panels: ("_copy_columns",),
}


class Recorder:
    """Stands for ``numba.prange``, ``add_panel_product`` and those of ``rows.py``."""

    def __init__(self):
        self.loops, self.products = [], None

    def prange(self, tasks):
        code = sys._getframe(1).f_code
        file = Path(code.co_filename).as_posix()
        has_products = any(file.endswith(name) and code.co_name == kernel for name, kernel in WITH_PRODUCTS)
        loop = [code.co_name, int(tasks), None]
        self.loops.append(loop)
        return self.counted(loop) if has_products else range(0)

    def counted(self, loop):
        loop[2] = [0] * loop[1]
        for task in range(loop[1]):
            self.task = loop[2], task
            yield task
            del self.task

    def add_product(self, a, b, keep, out):
        products, task = self.task
        products[task] += a.shape[0] * a.shape[1] * b.shape[1]

    def add_scaled_rows(self, x, w, out):
        self.add_product(x, w, False, out)

    def stream_outer_products(self, x, d, out):
        self.add_product(x.T, d, False, out)

    def dot_rows(self, x, w, out):
        self.add_product(x, w.T, False, out)


def recorded(variant, batch):
    net, recorder = network(variant), Recorder()
    numba.prange = recorder.prange
    for name in ("add_scaled_rows", "stream_outer_products", "dot_rows"):
        setattr(dense, name, getattr(recorder, name))
    for module in (schedules, cpu, cpu_few, cpu_grey, cpu_panels, dense):
        module.add_panel_product = recorder.add_product
    with np.errstate(all="ignore"):  # what no task wrote may be anything
        out = net.forward(np.zeros((batch, *VARIANTS[variant].image_shape), np.float32))
        if VARIANTS[variant].num_classes is None:
            dout = l2_loss(out, "cpu")[1]
        else:
            dout = softmax_cross_entropy(out, np.zeros(batch, np.intp), "cpu")[1]
        net.backward(dout)
    return recorder.loops


if __name__ == "__main__":
    for module, names in NOT_COMPUTED.items():
        for name in names:
            setattr(module, name, lambda *_: None)
    for variant, batch in zip(sys.argv[1::2], map(int, sys.argv[2::2]), strict=True):
        print(json.dumps(recorded(variant, batch)), flush=True)

"""Compiles every CUDA kernel to machine code, without a GPU, and prints the registers and memory that it needs.

python tests/gpu/ptx.py        needs pip install 'tinyalexnet[cuda12]'

Exits with 1 if a kernel keeps in memory what should be in registers, or computes in float64 for no reason.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emulator
import numpy as np

ARCHITECTURES = ((8, 0), (9, 0))
"""Compute capabilities of an A100 and an H100."""

DTYPES = ("float32", "float64")

IN_FLOAT64 = ("l2_loss.", "reduction.sum", "softmax_cross_entropy.")
"""Kernels that compute in float64 also for float32: the losses are summed in float64."""


LOOKS = {"momentum.step": 1}
"""PTX instructions on float64 of kernels that just look at a number of it: the update asks if the loss is finite."""


@dataclass(frozen=True)
class Figures:
    """Needs of a kernel: registers a thread, bytes of shared memory a block, bytes a thread keeps in slow memory."""

    kernel: str
    dtype: str
    architecture: str
    registers: int
    shared: int
    spilled: int
    doubles: int
    """PTX instructions on float64. A kernel for float32 should have none: they take up to 64 times as long."""

    def larger(self, other: Figures) -> Figures:
        """The larger of each number."""
        return Figures(*map(max, dataclasses.astuple(self), dataclasses.astuple(other)))


@dataclass(frozen=True)
class Kernel:
    """A kernel, the types that it is launched with, and the dtype of the step that launched it."""

    function: Any
    signature: tuple[Any, ...]
    dtype: str

    @property
    def name(self) -> str:
        """As in "maxpool.forward"."""
        name: str = self.function.name
        return name


def missing() -> str | None:
    """The package that has to be installed, or None."""
    try:
        import numba_cuda  # noqa: F401
    except ImportError:
        return "numba-cuda is not installed"
    return None if _ptxas() else "no ptxas is installed"


def kernels() -> list[Kernel]:
    """Every kernel with all types that it is launched with, found by calls of every function of the operations."""
    emulator.install()
    emulator.state.launched.clear()
    found = []
    for dtype in DTYPES:
        before = set(emulator.state.launched)
        # The results do not matter here.
        emulator.state.block_limit = 1
        try:
            _call_all(dtype)
        finally:
            emulator.state.block_limit = None
        found += [Kernel(*key, dtype) for key in emulator.state.launched if key not in before]
    functions = {kernel.function for kernel in found}
    for kernel in _defined_kernels():
        assert kernel in functions, f"{kernel.py_func} is never launched"
    return found


def figures(found: list[Kernel]) -> list[Figures]:
    """For each kernel, dtype and architecture; the largest ones if it is launched in several ways."""
    rows: dict[tuple[str, str, str], Figures] = {}
    for architecture in ARCHITECTURES:
        # One GPU is enough for float64, which is for checks: its kernels are the simple ones.
        some = [kernel for kernel in found if architecture == emulator.ARCHITECTURE or kernel.dtype == "float32"]
        for kernel, ptx in zip(some, compiled(some, architecture), strict=True):
            key = kernel.name, kernel.dtype, "sm_{}{}".format(*architecture)
            row = Figures(*key, *_assembled(ptx, key[2]), len(re.findall(r"^\s+\w+(?:\.\w+)*\.f64", ptx, re.M)))
            rows[key] = row.larger(rows.get(key, row))
    return [rows[key] for key in sorted(rows, key=lambda key: (DTYPES.index(key[1]), key))]


def compiled(found: list[Kernel], architecture: tuple[int, int]) -> list[str]:
    """The kernels as PTX."""
    if architecture == emulator.ARCHITECTURE:
        return [emulator.state.launched[kernel.function, kernel.signature] for kernel in found]
    from numba.cuda import dispatcher

    there = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=architecture)
    _forget_device_functions()
    texts = [kernel.function.ptx(kernel.signature, architecture) for kernel in found]
    dispatcher.get_current_device = there
    _forget_device_functions()
    return texts


def _forget_device_functions() -> None:
    """Numba compiles the functions that kernels call once, for the GPU that is there.

    Not all of them are in a module: those of ``unrolled`` may be in another one's namespace alone.
    """
    from numba.cuda.dispatcher import CUDADispatcher

    for value in gc.get_objects():
        if issubclass(type(value), CUDADispatcher):
            value.overloads.clear()


def _defined_kernels() -> list[Any]:
    """The kernels in the package's modules."""
    import tinyalexnet
    from tinyalexnet.devices.cuda import kernels as kernels_of_package

    modules = pkgutil.walk_packages(tinyalexnet.__path__, "tinyalexnet.")
    names = [entry.name for entry in modules if "cuda" in entry.name.split(".")]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return [value for value in values if isinstance(value, kernels_of_package.Kernel)]


def _call_all(dtype: str) -> None:
    """Launches every kernel."""
    from tinyalexnet import to_device
    from tinyalexnet.geometry import Window
    from tinyalexnet.ops import avgpool, conv2d, dense, dropout, l2_loss, lrn, maxpool, momentum, relu
    from tinyalexnet.ops import softmax_cross_entropy as losses

    def ones(*shape: int) -> Any:
        return to_device(np.ones(shape, dtype))

    on = {"backend": "cuda"}
    window, x, w, dout = Window(3, 1, "SAME"), ones(2, 9, 9, 4), ones(3, 3, 2, 6), ones(2, 9, 9, 6)
    for algorithm in ("gemm", "winograd"):
        conv2d.conv2d_forward(x, w, ones(6), window, 2, algorithm, **on)
        conv2d.conv2d_backward_input(dout, w, x.shape, window, 2, algorithm, **on)
        conv2d.conv2d_backward_params(dout, x, window, 2, algorithm, **on)
    for filters in (6, 8):
        dout = ones(2, 4, 4, filters)
        conv2d.conv2d_backward_input(dout, ones(3, 3, 2, filters), x.shape, Window(3, 2), 2, **on)
    # On tensor cores, with runs of three elements that have to be padded, and all three ways to lie in memory.
    conv2d.conv2d_forward(ones(2, 9, 9, 1), ones(3, 3, 1, 4), ones(4), Window(3, 4), **on)
    conv2d.conv2d_backward_params(ones(2, 2, 2, 4), ones(2, 9, 9, 1), Window(3, 4), **on)
    dense.dense_forward(ones(2, 4), ones(4, 8), ones(8), **on)
    dense.dense_backward_input(ones(2, 8), ones(4, 8), **on)
    dense.dense_backward_params(ones(2, 8), ones(2, 4), **on)
    for images in (x, ones(2, 9, 9, 3)):
        out, argmax = maxpool.maxpool_forward(images, window, **on)
        maxpool.maxpool_backward(out, argmax, images.shape, window, **on)
        avgpool.avgpool_forward(images, window, **on)
        avgpool.avgpool_backward(images, images.shape, window, **on)
        lrn.lrn_forward(images, 2, 1.0, 1.0, 0.75, **on)
        lrn.lrn_backward(images, images, images, 2, 1.0, 0.75, **on)
    relu.relu_forward(x, **on)
    relu.relu_backward(x, x, **on)
    dropout.dropout(x, dropout.dropout_mask(x.shape, 0.5, 1, **on), 0.5, **on)
    dense.dense_forward(ones(2, 4), ones(4, 3), ones(3), **on)
    dense.dense_backward_input(ones(2, 3), ones(4, 3), **on)
    dense.dense_backward_params(ones(2, 3), ones(2, 4), **on)
    losses.softmax_cross_entropy(ones(2, 3), to_device(np.zeros(2, np.int64)), **on)
    l2_loss.l2_loss(x, **on)
    momentum.momentum_step(x, ones(*x.shape), ones(*x.shape), 0.1, 0.9, 0.0, **on)


def _ptxas() -> str | None:
    try:
        import nvidia
    except ImportError:
        return shutil.which("ptxas")
    found = [str(path) for root in nvidia.__path__ for path in Path(root).glob("**/bin/ptxas")]
    return found[0] if found else shutil.which("ptxas")


def _assembled(ptx: str, architecture: str) -> tuple[int, int, int]:
    """Registers, shared memory, and bytes of a thread that are not in registers: spilled, or arrays of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [_ptxas(), "-v", f"-arch={architecture}", "-o", "/dev/null", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    used = re.search(r"Used (\d+) registers", report)
    shared = re.search(r"(\d+) bytes smem", report)
    spilled = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", report)
    return int(used.group(1)), int(shared.group(1)) if shared else 0, int(spilled.group(1)) + int(spilled.group(2))


def main() -> int:
    if reason := missing():
        print(f"skipped: {reason}")
        return 0
    print(f"{'kernel':<38}{'dtype':<9}{'':<8}{'registers':>9}{'shared':>9}{'spilled':>9}{'float64':>9}")
    wrong = []
    for row in figures(kernels()):
        numbers = "".join(f"{number:>9}" for number in (row.registers, row.shared, row.spilled, row.doubles))
        print(f"{row.kernel:<38}{row.dtype:<9}{row.architecture:<8}{numbers}")
        asked_for = row.dtype == "float64" or row.kernel.startswith(IN_FLOAT64)
        if row.spilled > 0 or (row.doubles > LOOKS.get(row.kernel, 0) and not asked_for):
            wrong.append(f"{row.kernel} for {row.dtype} on {row.architecture}")
    if wrong:
        print("not all in registers, or float64 for no reason:", ", ".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

"""Compiles every CUDA kernel to machine code, without a GPU, and prints what ptxas says of it.

python tests/ptx.py        needs pip install 'tinyalexnet[cuda12]'

Exits with 1 where a kernel keeps in memory what should be in registers, or takes float64 where nothing asks for it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emulated_gpu
import numpy as np

ARCHITECTURES = ((8, 0), (9, 0))
"""An A100's, and an H100's."""

PACKAGE = "tinyalexnet.kernels.cuda"
FOLDER = Path(__file__).parents[1] / PACKAGE.replace(".", "/")
MODULES = [entry.name for entry in pkgutil.iter_modules([FOLDER]) if entry.name != "simulator"]
IN_FLOAT64 = ("l2", "reduction", "softmax")
"""The losses are summed in float64."""


@dataclass(frozen=True)
class Figures:
    """What a kernel needs: registers a thread, bytes of shared memory a block, bytes a thread has in slow memory."""

    kernel: str
    dtype: str
    architecture: str
    registers: int
    shared: int
    spilled: int
    doubles: int
    """Instructions on float64, of which a kernel for float32 should have none: they take 64 times as long."""

    def larger(self, other: Figures) -> Figures:
        """The larger of each number."""
        return Figures(*map(max, dataclasses.astuple(self), dataclasses.astuple(other)))


def missing() -> str | None:
    """What has to be installed, or None."""
    try:
        import numba_cuda  # noqa: F401
    except ImportError:
        return "numba-cuda is not installed"
    return None if _ptxas() else "no ptxas is installed"


def figures() -> list[Figures]:
    """Of each kernel, for each dtype and architecture; the largest ones, where it is launched in several ways."""
    found: dict[tuple[str, str, str], Figures] = {}
    for function, dtype, signature in _launches():
        for major, minor in ARCHITECTURES:
            ptx = _compiled(function, signature, (major, minor))
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            key = name, dtype, f"sm_{major}{minor}"
            row = Figures(*key, *_assembled(ptx, key[2]), len(re.findall(r"^\s+\w+(?:\.\w+)*\.f64", ptx, re.M)))
            found[key] = row.larger(found.get(key, row))
    return list(found.values())


def _compiled(function: Any, signature: tuple[Any, ...], architecture: tuple[int, int]) -> str:
    if architecture == emulated_gpu.ARCHITECTURE:
        return emulated_gpu.compiled(function, signature)
    from numba import cuda
    from numba.cuda import dispatcher

    def forget() -> None:
        """Functions that a kernel calls are compiled once, for the GPU that is there."""
        for value in _members():
            getattr(value, "overloads", {}).clear()

    there = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=architecture)
    forget()
    text: str = cuda.compile_ptx(function, signature, cc=architecture)[0]
    dispatcher.get_current_device = there
    forget()
    return text


def _members() -> list[Any]:
    return [value for name in MODULES for value in vars(importlib.import_module(f"{PACKAGE}.{name}")).values()]


def _launches() -> Iterator[tuple[Any, str, tuple[Any, ...]]]:
    """Every kernel with the types that it is launched with."""
    emulated_gpu.install()
    package = importlib.import_module(PACKAGE)
    launched = emulated_gpu.state.launched
    for dtype in ("float32", "float64"):
        launched.clear()
        _call_all(package, dtype)
        functions = {function for function, _ in launched}
        for value in _members():
            if hasattr(value, "py_func") and not value.targetoptions.get("device"):
                assert value.py_func in functions, f"{value.py_func} is never launched"
        for function, signature in list(launched):
            yield function, dtype, signature


def _call_all(cuda, dtype):
    from tinyalexnet import to_device
    from tinyalexnet.geometry import Window

    def ones(*shape):
        return to_device(np.ones(shape, dtype))

    window, x, w, dout = Window(3, 1, "SAME"), ones(2, 9, 9, 4), ones(3, 3, 2, 6), ones(2, 9, 9, 6)
    cuda.conv2d_forward(x, w, ones(6), window, 2)
    cuda.conv2d_backward_input(dout, w, x.shape, window, 2)
    cuda.conv2d_backward_params(dout, x, window, 2)
    cuda.conv2d_forward(x, w, ones(6), window, 2, "winograd")
    cuda.conv2d_backward_params(dout, x, window, 2, "winograd")
    cuda.conv2d_backward_input(dout, w, x.shape, window, 2, "winograd")
    cuda.conv2d_backward_input(ones(2, 4, 4, 6), w, x.shape, Window(3, 2), 2)
    out, argmax = cuda.maxpool_forward(x, window)
    cuda.maxpool_backward(out, argmax, x.shape, window)
    cuda.avgpool_forward(x, window)
    cuda.avgpool_backward(out, x.shape, window)
    cuda.lrn_forward(x, 2, 1.0, 1.0, 0.75)
    cuda.lrn_backward(x, x, x, 2, 1.0, 0.75)
    cuda.relu_forward(x)
    cuda.relu_backward(x, x)
    cuda.dropout(x, cuda.dropout_mask(x.shape, 0.5, 1), 0.5)
    cuda.dense_forward(ones(2, 4), ones(4, 3), ones(3))
    cuda.dense_backward_input(ones(2, 3), ones(4, 3))
    cuda.dense_backward_params(ones(2, 3), ones(2, 4))
    cuda.softmax_cross_entropy(ones(2, 3), to_device(np.zeros(2, np.int64)))
    cuda.l2_loss(x)
    cuda.momentum_step(x, ones(*x.shape), ones(*x.shape), 0.1, 0.9, 0.0)


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
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    used = re.search(r"Used (\d+) registers", said)
    shared = re.search(r"(\d+) bytes smem", said)
    spilled = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", said)
    return int(used.group(1)), int(shared.group(1)) if shared else 0, int(spilled.group(1)) + int(spilled.group(2))


def main() -> int:
    if reason := missing():
        print(f"skipped: {reason}")
        return 0
    print(f"{'kernel':<28}{'dtype':<9}{'':<8}{'registers':>9}{'shared':>9}{'spilled':>9}{'float64':>9}")
    wrong = False
    for row in figures():
        numbers = "".join(f"{number:>9}" for number in (row.registers, row.shared, row.spilled, row.doubles))
        print(f"{row.kernel:<28}{row.dtype:<9}{row.architecture:<8}{numbers}")
        asked_for = row.dtype == "float64" or row.kernel.startswith(IN_FLOAT64)
        wrong |= row.spilled > 0 or (row.doubles > 0 and not asked_for)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())

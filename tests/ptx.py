"""Compiles every CUDA kernel to machine code, without a GPU, and prints what ptxas says of it.

python tests/ptx.py        needs pip install 'tinyalexnet[cuda12]'

Exits with 1 where a kernel keeps in memory what should be in registers, or takes float64 where nothing asks for it.
"""

from __future__ import annotations

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


def missing() -> str | None:
    """What has to be installed, or None."""
    try:
        import numba_cuda  # noqa: F401
    except ImportError:
        return "numba-cuda is not installed"
    return None if _ptxas() else "no ptxas is installed"


def figures() -> list[Figures]:
    """Of each kernel, for each dtype and architecture that it is launched with."""
    from numba import cuda
    from numba.cuda import dispatcher

    found = {}
    for function, dtype, signature in _launches():
        for major, minor in ARCHITECTURES:
            # Functions that a kernel calls are compiled for the GPU that is there, and none is.
            dispatcher.get_current_device = lambda cc=(major, minor): types.SimpleNamespace(compute_capability=cc)
            for name in MODULES:
                for value in vars(importlib.import_module(f"{PACKAGE}.{name}")).values():
                    getattr(getattr(value, "kernel", value), "overloads", {}).clear()
            ptx, _ = cuda.compile_ptx(function, signature, cc=(major, minor))
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            key = name, dtype, f"sm_{major}{minor}"
            found[key] = Figures(*key, *_assembled(ptx, key[2]), len(re.findall(r"^\s+\w+(?:\.\w+)*\.f64", ptx, re.M)))
    return list(found.values())


class Recorder:
    """In place of a kernel: notes the types that it is launched with."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.signatures = []

    def __getitem__(self, configuration):
        from numba import typeof

        return lambda *arguments: self.signatures.append(tuple(map(typeof, arguments)))


REPLACED = {
    "launch": lambda kernel, count, *arguments: kernel[None](*arguments),
    "launch_blocks": lambda kernel, blocks, threads, *arguments: kernel[None](*arguments),
    "are_fours": lambda array, run: run % 4 == 0,
    "to_device": lambda array: array,
    "empty": np.empty,
    "stand_in": lambda name, array: array,
}
"""With these the backend's functions run on the host, up to the launches."""


def _launches():
    """Every kernel with the types that it is launched with."""
    package = importlib.import_module(PACKAGE)
    recorders: list[Recorder] = []
    for members in (
        vars(importlib.import_module(f"{PACKAGE}.{name}")) for name in MODULES if name not in ("runtime", "simulator")
    ):
        for name, value in list(members.items()):
            is_own = hasattr(value, "py_func") and value.py_func.__module__ == members["__name__"]
            if is_own and not value.targetoptions.get("device"):
                members[name] = Recorder(value)
                recorders.append(members[name])
        members.update({name: value for name, value in REPLACED.items() if name in members})
    found = []
    for dtype in ("float32", "float64"):
        _call_all(package, dtype)
        for recorder in recorders:
            assert recorder.signatures, f"{recorder.kernel.py_func} is never launched"
            found += [(recorder.kernel.py_func, dtype, signature) for signature in recorder.signatures]
            recorder.signatures = []
    return found


def _call_all(cuda, dtype):
    from tinyalexnet.geometry import Window

    def ones(*shape):
        return np.ones(shape, dtype)

    window, x, w, dout = Window(3, 1, "SAME"), ones(2, 9, 9, 4), ones(3, 3, 2, 6), ones(2, 9, 9, 6)
    cuda.conv2d_forward(x, w, ones(6), window, 2)
    cuda.conv2d_backward_input(dout, w, x.shape, window, 2)
    cuda.conv2d_backward_params(dout, x, window, 2)
    cuda.conv2d_forward(x, w, ones(6), window, 2, "winograd")
    cuda.conv2d_backward_params(dout, x, window, 2, "winograd")
    cuda.conv2d_backward_input(dout[:, :4, :4], w, x.shape, Window(3, 2), 2)
    out, argmax = cuda.maxpool_forward(x, window)
    cuda.maxpool_backward(out, argmax, x.shape, window)
    cuda.avgpool_forward(x, window)
    cuda.avgpool_backward(out, x.shape, window)
    cuda.lrn_forward(x, 2, 1.0, 1.0, 0.75)
    cuda.lrn_backward(x, x, x, 2, 1.0, 0.75)
    cuda.relu_forward(x)
    cuda.relu_backward(x, x)
    cuda.dropout(x, x > 0, 0.5)
    cuda.dropout_mask((5,), 0.5, 1)
    cuda.dense_forward(ones(2, 4), ones(4, 3), ones(3))
    cuda.dense_backward_input(ones(2, 3), ones(4, 3))
    cuda.dense_backward_params(ones(2, 3), ones(2, 4))
    cuda.softmax_cross_entropy(ones(2, 3), np.zeros(2, np.int64))
    cuda.l2_loss(x)
    cuda.momentum_step(x, x, x, 0.1, 0.9, 0.0)


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

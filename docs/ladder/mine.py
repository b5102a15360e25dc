"""A rung of the reader's own, for ``run.py --mine``: its file is loaded, and compared with rung 1 on integers."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from dataclasses import replace

import numpy as np
import plain

SIGNATURES = {
    name: list(inspect.signature(getattr(plain, name)).parameters)
    for name in ("forward", "backward_input", "backward_params")
}

BOUND = 2e-5
"""The relative L2 error that rungs 5 and 6 may have in float32; the same for a rung that rounds."""

SMALL = (2, 3), (12, 11), 5
"""Images and channels, rows and columns beyond the kernel, and filters: multiples of nothing."""


class MineError(Exception):
    """What is wrong with the reader's file, in one sentence."""


class Mine:
    """The three functions of a file. MineError if it has not all of them, or if a call of one raises an exception."""

    def __init__(self, path):
        self.path = path
        functions = vars(self._load())
        for name, parameters in SIGNATURES.items():
            setattr(self, name, self._guarded(name, self._function(functions, name, parameters)))

    def _load(self):
        if not self.path.is_file():
            raise MineError(f"{self.path} is not a file")
        spec = importlib.util.spec_from_file_location("mine_of_the_reader", self.path.absolute())
        if spec is None:
            raise MineError(f"{self.path} is not a Python file: its name must end in .py")
        # Registered under its name, as Numba's cache and dataclasses expect of a module.
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise MineError(f"{self.path} cannot be loaded: {self._told(error)}") from None
        return module

    def _function(self, functions, name, parameters):
        wanted = f"{name}({', '.join(parameters)})"
        function = functions.get(name)
        if not callable(function):
            raise MineError(f"{self.path} has no function {wanted}")
        try:
            inspect.signature(function).bind(*parameters)
        except TypeError:
            raise MineError(f"{self.path} has {name}{inspect.signature(function)}, and not {wanted}") from None
        except ValueError:
            pass  # a compiled function may not tell; then its first call does
        return function

    def _guarded(self, name, function):
        def call(*arguments):
            try:
                return function(*arguments)
            except MemoryError:
                raise
            except (Exception, SystemExit) as error:
                raise MineError(f"{name} of {self.path} raised {self._told(error)}") from None

        return call

    def _told(self, error):
        """An exception in one line, with the last line of the reader's file that it came through."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path.absolute())]
        first = (str(error).strip().splitlines() or ["without a message"])[0]
        return f"{type(error).__name__}: {first}" + (f" (line {lines[-1]})" if lines else "")


def compare(mine, layers):
    """The largest relative error of ``mine`` on these layers, 0 if all is equal to rung 1, to the last bit.

    Each layer's window on two small images and on one of the real size, all elements integers. There float32 holds
    each sum exactly, in any order, so only an algorithm with fractions, such as Winograd's, may differ: by BOUND, and
    by less than 1/2 in each element. MineError names the function, the geometry and the element otherwise.
    """
    largest = 0.0
    for layer in layers:
        for geometry, images in ((_small(layer), SMALL[0][0]), (layer, 1)):
            for name, arguments in _arguments(geometry, images).items():
                largest = max(
                    largest, _difference(mine, name, arguments, f"{layer.name} with {_told(geometry, images)}")
                )
    return largest


def _small(layer):
    (kernel_h, kernel_w), ((_, channels), (rows, columns), filters) = layer.window.kernel, SMALL
    return replace(layer, image_shape=(kernel_h + rows, kernel_w + columns, channels), filters=filters)


def _told(layer, images):
    kernel, stride = (" x ".join(map(str, pair)) for pair in (layer.window.kernel, layer.window.stride))
    return f"x of the shape {(images, *layer.image_shape)}, kernel {kernel}, stride {stride}"


def _arguments(layer, images):
    rng = np.random.default_rng(0)
    x, w, b, dout = (rng.integers(-4, 5, array.shape).astype(array.dtype) for array in layer.arrays(images))
    arguments = {"forward": (x, w, b, layer.window), "backward_params": (dout, x, layer.window)}
    return {**arguments, "backward_input": (dout, w, x.shape, layer.window)} if layer.needs_dx else arguments


def _difference(mine, name, arguments, geometry):
    given = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
    got, exact = getattr(mine, name)(*given), getattr(plain, name)(*arguments)
    where = f"{name} of {mine.path} on {geometry}"
    for parameter, argument, before in zip(SIGNATURES[name], given, arguments, strict=True):
        if isinstance(argument, np.ndarray) and not np.array_equal(argument, before):
            raise MineError(f"{where}: it changes its argument {parameter}")
    if name != "backward_params":
        return _error(where, {"forward": "out", "backward_input": "dx"}[name], got, exact)
    if not isinstance(got, tuple) or len(got) != 2:
        raise MineError(f"{where}: it returns {type(got).__name__}, and not the pair (dw, db)")
    return max(
        _error(where, array, *pair) for array, pair in zip(("dw", "db"), zip(got, exact, strict=True), strict=True)
    )


def _error(where, array, got, exact):
    """The relative L2 error of one result."""
    if not isinstance(got, np.ndarray) or (got.shape, got.dtype) != (exact.shape, exact.dtype):
        found = f"{got.dtype} {got.shape}" if isinstance(got, np.ndarray) else type(got).__name__
        raise MineError(f"{where}: {array} is {found}, and not {exact.dtype} {exact.shape}")
    difference = np.abs(got.astype(np.float64) - exact)
    error = float(np.linalg.norm(difference.ravel()) / max(1.0, np.linalg.norm(exact.ravel().astype(np.float64))))
    # Written so that a NaN is no equality.
    if not (error <= BOUND and difference.max() < 0.5):
        at = np.unravel_index(np.argmax(np.nan_to_num(difference, nan=np.inf)), exact.shape)
        element = f"{array}[{', '.join(map(str, at))}]"
        raise MineError(f"{where} is not rung 1: {element} is {got[at]:g}, and not {exact[at]:g}")
    return error

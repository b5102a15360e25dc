"""How ``run.py`` times: all rungs in turn, so that a slow phase of the machine slows all of them."""

from __future__ import annotations

import importlib
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
from mine import compare
from share import ENOUGH, timed

from tinyalexnet import Conv2d, alexnet
from tinyalexnet.benchmark.breakdown import LAYER_PASSES
from tinyalexnet.benchmark.report import versions
from tinyalexnet.devices import device, machine
from tinyalexnet.devices.cpu.compiler import most_threads
from tinyalexnet.devices.host import PEAK_SIZE
from tinyalexnet.geometry import Window

ALL = most_threads()
HOST = device("cpu")
RUNGS = {"plain": 1, "im2col": 1, "blocked": 1, "threads": ALL, "stages": ALL, "fused": ALL}
"""Each rung's module and how many threads it uses, from the ground up."""

LONGEST_CALL = 1.0
"""Seconds: a rung whose call would take longer gets fewer images."""

SETTLE = 0.1
"""Seconds of rest before a rung: idle threads of BLAS and of Numba look for more work for a while, and would take a
core from the next rung."""


@dataclass(frozen=True)
class Layer:
    """One convolution: the shape of an image (H, W, C), its filters, and whether dx is wanted."""

    name: str
    image_shape: tuple[int, int, int]
    filters: int
    window: Window
    needs_dx: bool = True

    @property
    def out_size(self):
        return self.window.output_size(self.image_shape[:2])

    @property
    def multiply_adds(self):
        """The multiply-adds of one image, by the direct sum."""
        return math.prod((*self.out_size, self.filters, *self.window.kernel, self.image_shape[2]))

    def __str__(self):
        shapes = [" x ".join(map(str, shape)) for shape in (self.image_shape, (*self.out_size, self.filters))]
        kernel, stride = (" x ".join(map(str, pair)) for pair in (self.window.kernel, self.window.stride))
        work = f"{self.multiply_adds / 1e6:.1f} million multiply-adds"
        return f"{self.name}: {' -> '.join(shapes)}, kernel {kernel}, stride {stride}, {work}"

    def arrays(self, n):
        """x, w, b and dout with normal elements, for ``n`` images."""
        w_shape = (*self.window.kernel, self.image_shape[2], self.filters)
        shapes = (n, *self.image_shape), w_shape, (self.filters,), (n, *self.out_size, self.filters)
        rng = np.random.default_rng(0)
        return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    def calls(self, rung, arrays, images):
        """The rung's functions on the first ``images`` images, by pass."""
        (x, w, b, dout), window = arrays, self.window
        x, dout = x[:images], dout[:images]
        calls = {"forward": lambda: rung.forward(x, w, b, window)}
        if self.needs_dx:
            calls["dx"] = lambda: rung.backward_input(dout, w, x.shape, window)
        return {**calls, "dw": lambda: rung.backward_params(dout, x, window)}


def _layers():
    """The convolutions of "tf2015", and one whose sizes are multiples of nothing."""
    net, shape = alexnet("tf2015", backend="reference"), (1, 227, 227, 3)
    for name, layer in net:
        if isinstance(layer, Conv2d):
            yield Layer(name, shape[1:], layer.params["w"].shape[3], layer.window, layer.needs_dx)
        shape = layer.output_shape(shape)
    yield Layer("ragged", (19, 23, 37), 53, Window((5, 3), padding="SAME"))


LAYERS = {layer.name: layer for layer in _layers()}


@dataclass(frozen=True)
class Timing:
    """One pass of a rung: its images, the seconds of each round, and the median share of the cores, or None."""

    images: int
    seconds: list[float]
    share: float | None


def report(batch_size, rounds, layers, rungs, mine=None):
    """Times and prints, from the first layer and the lowest rung on, in any order of the arguments.

    ``mine``, a rung of the reader's own, is compared with rung 1 first. Returns the sentence that warns of a busy
    machine, or None.
    """
    layers = [layer for layer in LAYERS.values() if layer.name in layers]
    modules = {rung: importlib.import_module(rung) for rung in RUNGS if rung in rungs}
    equality = None
    if mine is not None:
        modules["mine"], error = mine, compare(mine, layers)
        equality = "equal to rung 1 on integers, " + (f"within {error:.0e}" if error else "to the last bit")
    numbers = ", ".join(f"{package} {number}" for package, number in versions().items())
    print(f"{machine.cpu_name()}, {machine.cores()} cores, {numbers}")
    peak = HOST.peak(ALL).peak
    shape = f"{PEAK_SIZE} x {PEAK_SIZE}"
    print(f"peak: {peak / 1e9:.0f} GFLOP/s, np.matmul of {shape} float32 matrices on all threads", flush=True)
    if equality:
        print(f"mine: {mine.path}, {equality}", flush=True)
    shares = []
    for layer in layers:
        rows = _measure(layer, batch_size, rounds, modules)
        _print(layer, rows, peak)
        found = [timing.share for timing in rows.values() if timing.share is not None]
        shares += found
        if warning := starved(found):
            print(warning, flush=True)
    return starved(shares)


def starved(shares):
    """The sentence that says that some timings mean nothing, or None."""
    few = [share for share in shares if share < ENOUGH]
    if not few:
        return None
    which = f"in {len(few)} of {len(shares)} timings" if len(few) < len(shares) else "in all timings"
    return (
        f"busy machine: {which} your threads got less than {ENOUGH:.0%} of the cores that they asked for, "
        f"and once {min(few):.0%}: conclude nothing from those"
    )


def _print(layer, rows, peak):
    print(f"\n{layer}")
    for name in LAYER_PASSES:
        if not any(of == name for _, of in rows):
            continue
        head = f"{'threads':>10}{'images':>8}{'ms/image':>12}{'quartiles':>20}{'GFLOP/s':>10}{'peak':>6}{'share':>7}"
        print(f"{name:10}{head}")
        for (rung, of), timing in rows.items():
            if of == name:
                print(_row(rung, timing, layer, peak), flush=True)


def _row(rung, timing, layer, peak):
    number = [*RUNGS, "mine"].index(rung) + 1
    low, median, high = np.quantile(timing.seconds, (0.25, 0.5, 0.75))
    rate = 2 * layer.multiply_adds * timing.images / median
    low, median, high = (1e3 * seconds / timing.images for seconds in (low, median, high))
    share = "-" if timing.share is None else f"{timing.share:.0%}"
    line = f"{number} {rung:8}{RUNGS.get(rung, ALL):10}{timing.images:8}{median:12.3f}{f'{low:.3f} - {high:.3f}':>20}"
    return f"{line}{rate / 1e9:10.1f}{rate / peak:6.0%}{share:>7}"


def _measure(layer, batch_size, rounds, modules):
    """A Timing for each rung and pass."""
    arrays = layer.arrays(batch_size)
    with _Progress() as progress:
        images, calls = {}, {}
        for rung, module in modules.items():
            progress(f"{layer.name}: first calls of {rung}")
            images[rung], calls[rung] = _affordable(layer, module, arrays)
        found = {(rung, name): [] for rung in modules for name in calls[rung]}
        for number in range(rounds):
            for rung in modules:
                progress(f"{layer.name}: round {number + 1} of {rounds}, {rung}")
                time.sleep(SETTLE)
                for name, call in calls[rung].items():
                    found[rung, name].append(timed(call, RUNGS.get(rung, ALL), HOST.seconds_of))
    return {(rung, name): _timing(images[rung], rounds) for (rung, name), rounds in found.items()}


def _timing(images, rounds):
    seconds, shares = zip(*rounds, strict=True)
    # All rounds of a rung have a share, or none.
    return Timing(images, list(seconds), None if None in shares else float(np.median(shares)))


def _affordable(layer, rung, arrays):
    """The largest number of images for which no call takes longer than LONGEST_CALL, and the calls, each made once."""
    images, batch_size = 1, len(arrays[0])
    for call in layer.calls(rung, arrays, images).values():
        call()  # compiles
    while True:
        calls = layer.calls(rung, arrays, images)
        seconds = max(map(HOST.seconds_of, calls.values()))
        more = min(2 * images, batch_size)
        if more == images or seconds * more / images > LONGEST_CALL:
            return images, calls
        images = more


class _Progress:
    """One line on standard error that is overwritten, if that is a terminal."""

    def __enter__(self):
        return self

    def __call__(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_):
        self("")

"""The memory of a benchmark: estimated before it runs, and counted by purpose afterwards."""

import math
from typing import Any

import numpy as np

from ..devices import device
from ..network import Sequential
from ..ops.checks import Shape

FLOAT_BYTES = 4


def memory_estimate(net: Sequential, x_shape: Shape, backend: str, backward: bool) -> int:
    """Bytes that a run will allocate at its peak, within about a fifth.

    The parameters, and their gradients twice. Arrays kept for the backward count twice, because a new step allocates
    its own before the old ones are freed. The images count once. On top come the input and the output, or their
    gradients, of the layer where they are largest, and the temporary arrays of a device that makes them.

    But if memory is used again for arrays of one size alone, on top come all arrays that are not kept, one of each
    size. And if a forward runs alone, what it has made for a backward is still there in the next step. Sums of split-K,
    some tens of megabytes, are left out.
    """
    hardware = device(backend)
    kept = passing = waiting = 0
    sizes: set[int] = set()
    before, is_kept = x_shape, True
    for name, shape in net.output_shapes(x_shape).items():
        layer, size, size_before = net[name], FLOAT_BYTES * math.prod(shape), FLOAT_BYTES * math.prod(before)
        if layer.keeps_input and not is_kept:
            kept += size_before
        elif not is_kept:
            sizes.add(size_before)
        scratch = layer.scratch_bytes(before)
        sizes.update(scratch)
        waiting += sum(scratch[:1])
        # In place, the input and the output are one array.
        is_kept = layer.in_place and (is_kept or layer.keeps_input)
        if layer.keeps_output and not is_kept:
            kept, is_kept = kept + size, True
        kept += layer.saved_bytes(before)
        both = size + size_before * (backward and before != x_shape)
        passing = max(passing, both + FLOAT_BYTES * layer.temporary_elements(before) * hardware.makes_temporaries)
        before = shape
    parameters = FLOAT_BYTES * sum(value.size for value in net.params.values())
    images = FLOAT_BYTES * math.prod(x_shape)
    if hardware.reuses_by_size:
        passing = sum(sizes) + max(0, waiting - 2 * parameters * backward)
    return hardware.fixed_memory + parameters * (3 if backward else 1) + images + 2 * kept + passing


def ledger(net: Sequential, images: np.ndarray, activations: int, kernels_hold: int) -> dict[str, int]:
    """Bytes by purpose. ``kernels_hold`` is for activations, gradients and scratch of the kernels together."""
    caches = {_owner(array): array.nbytes for array in net.cache if _owner(array) != _owner(images)}
    return {
        "images": images.nbytes,
        "parameters": sum(value.nbytes for value in net.params.values()),
        "gradients": sum(value.nbytes for value in net.grads.values()),
        "activations": activations,
        "caches": sum(caches.values()),
        "kernels": kernels_hold,
    }


def ledger_line(held: dict[str, int], peak_memory: int | None) -> str:
    """The ledger as text."""
    text = (
        f"memory: images {_megabytes(held['images'])}, parameters {_megabytes(held['parameters'])}, gradients "
        f"{_megabytes(held['gradients'])}; all activations {_megabytes(held['activations'])}, of which "
        f"{_megabytes(held['caches'])} wait for the backward"
    )
    if held["kernels"]:
        text += f"; the kernels hold {_megabytes(held['kernels'])} for activations, gradients and scratch"
    if peak_memory is not None:
        text += f"; peak of the process {_megabytes(peak_memory)}"
    return text


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def _owner(array: Any) -> int:
    """The same for all arrays that share memory. Arrays on a GPU share the object that points to it."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return id(getattr(array, "memory", array))

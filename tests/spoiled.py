"""All memory of recorded passes but the parameters is overwritten: what is not computed anew will show."""

from __future__ import annotations

import numpy as np

from tinyalexnet.ops.conv2d.winograd.cpu.sides import Sides


def arrays_in(arguments):
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument
        elif isinstance(argument, (tuple, list)) and not isinstance(argument, Sides):  # which are constants
            yield from arrays_in(argument)


def calls_of(passes):
    """All calls that ``RecordedPasses`` repeat."""
    for record in passes._records.values():
        for one in (record.forward, record._backward):
            if one.is_repeated:
                yield from one._recorded[1].args[0]


def spoil(passes, net):
    """Writes to all memory of the recordings, except the parameters of the network."""
    params = list(net.params.values())
    for record in passes._records.values():
        for block in record.forward._recorder._pool._blocks:
            block.memory.fill(0xFF)
    for _, arguments in calls_of(passes):
        for array in arrays_in(arguments):
            if array.dtype != np.int64 and not any(np.shares_memory(array, param) for param in params):
                array.fill(np.nan if array.dtype.kind == "f" else 1)

"""One test for all backends: the arrays of a test are of the host, and each backend computes with its own."""

from __future__ import annotations

import math
from functools import cached_property

import numba
import numpy as np
import pytest
from hypothesis import settings

from tinyalexnet.devices import device

JIT = not numba.config.DISABLE_JIT


class Backend:
    """The fixture ``run``: ``run(function, *arguments)`` calls a public function on this backend.

    NumPy arrays among the arguments are moved to the device, and those that the function returns come back.
    """

    def __init__(self, name):
        self.name = name

    @cached_property
    def device(self):
        return device(self.name)

    def __call__(self, function, *arguments, **options):
        return self.to_host(function(*map(self.to_device, arguments), **options, backend=self.name))

    def to_device(self, value):
        return self.device.to_device(value) if isinstance(value, np.ndarray) else value

    def to_host(self, result):
        """Arrays as NumPy arrays, also those of a tuple."""
        if isinstance(result, tuple):
            return tuple(map(self.to_host, result))
        return self.device.to_host(result) if self.device.holds(result) else result

    def skip_without_views(self):
        """For tests of strided input: an array that is moved to a GPU is contiguous there."""
        if not self.device.on_host:
            pytest.skip("a GPU takes no strided arrays: tests/devices/test_cuda.py")


def scalar(loss):
    """A loss as a float: on a GPU it is an array of one element."""
    return np.asarray(loss).item()


def fewer(compiled, otherwise):
    """Settings for slow tests: this share of the usual examples, if kernels are compiled for the host, or otherwise."""
    usual = settings.default.max_examples
    share = compiled if usual == settings.get_profile("compiled").max_examples else otherwise
    return settings(max_examples=math.ceil(share * usual))

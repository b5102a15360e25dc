"""A trace is made on every backend, and its arrays are on the host: the same elements, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import (
    AvgPool2d,
    Conv2d,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    L2Loss,
    LocalResponseNorm,
    MaxPool2d,
    OneOutput,
    ReLU,
    Sequential,
    explain,
    trace,
)

LOSSES = {
    "cross-entropy": lambda backend: CrossEntropyLoss([1, 3], backend),
    "l2": L2Loss,
    "one output": lambda backend: OneOutput((1, 2), backend),
}


def network(backend):
    rng = np.random.default_rng(4)
    layers = [
        ("conv", Conv2d(3, 4, 3, 2, 1, backend=backend, rng=rng, needs_dx=False, algorithm="gemm")),
        ("relu", ReLU(inplace=True, backend=backend)),
        ("norm", LocalResponseNorm(1, backend=backend)),
        ("pool", MaxPool2d(3, 1, backend=backend)),
        ("avg", AvgPool2d(2, 1, backend=backend)),
        ("flatten", Flatten()),
        ("drop", Dropout(0.5, rng=3, backend=backend)),
        ("fc", Dense(16, 5, backend, rng=rng)),
    ]
    return Sequential(layers)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_arrays_are_near_those_of_the_reference(run, loss):
    """Each within what rounding allows for sums of 27 terms and 8 layers: 1e-4 of the largest element."""
    x = np.random.default_rng(6).standard_normal((2, 9, 9, 3)).astype(np.float32)
    expected = trace(network("reference"), x, LOSSES[loss]("reference"))
    found = trace(network(run.name), run.to_device(x), LOSSES[loss](run.name))
    for name, step in expected.steps.items():
        assert found.steps[name].arrays.keys() == step.arrays.keys()
        for key, array in step.arrays.items():
            got = found.array(name, key)
            assert type(got) is np.ndarray
            np.testing.assert_allclose(got, array, atol=1e-4 * max(1e-3, np.abs(array).max()), err_msg=f"{name} {key}")
    for name, key in (("conv", "dw"), ("conv", "dx"), ("norm", "dx"), ("pool", "dx"), ("fc", "out"), ("loss", "dx")):
        index = (0,) * found.array(name, key).ndim
        assert explain(found, name, key, index).is_right

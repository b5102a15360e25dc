"""A small network with every kind of layer, for the explorer's tests."""

from __future__ import annotations

import numpy as np

from tinyalexnet import AvgPool2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU, Sequential


def every_kind(name="conv1"):
    """Groups, strides and paddings that are uneven, overlapping pools, LRN, dropout in training, dense layers."""
    rng = np.random.default_rng(8)
    block = Sequential(
        [
            ("norm", LocalResponseNorm(2, 2.0, 0.3, 0.75, backend="reference")),
            ("pool", MaxPool2d((3, 2), (1, 2), "SAME", "reference")),
        ]
    )
    layers = [
        (name, Conv2d(3, 8, (5, 3), (2, 1), "SAME", backend="reference", rng=rng, needs_dx=False, std=0.3)),
        ("relu1", ReLU(inplace=True, backend="reference")),
        ("block", block),
        ("conv2", Conv2d(8, 6, 3, 2, ((2, 0), (1, 1)), groups=2, backend="reference", rng=rng, std=0.3)),
        ("avg", AvgPool2d(2, 1, 1, backend="reference")),
        ("flatten", Flatten()),
        ("drop", Dropout(0.3, rng=2, backend="reference")),
        ("fc1", Dense(150, 12, "reference", rng=rng)),
        ("relu2", ReLU(backend="reference")),
        ("fc2", Dense(12, 5, "reference", rng=rng)),
    ]
    return Sequential(layers)


def image(seed=1):
    return np.random.default_rng(seed).standard_normal((13, 14, 3)).astype(np.float32)

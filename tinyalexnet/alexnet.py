"""AlexNet's variants, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Padding
from .layers import Conv2d, Layer, MaxPool2d, ReLU
from .network import Sequential


@dataclass(frozen=True)
class Conv:
    """A convolution of a table, with the ReLU behind it: filters, kernel, stride, padding."""

    name: str
    filters: int
    kernel: int
    stride: int = 1
    padding: Padding = "SAME"


@dataclass(frozen=True)
class Pool:
    """A max-pool of a table. AlexNet's overlap: 3x3 windows, two pixels apart."""

    name: str
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Variant:
    """One of the networks called AlexNet: the shape of one image (H, W, C), and the layers."""

    image_shape: tuple[int, int, int]
    layers: tuple[Conv | Pool, ...]


VARIANTS = {
    # TensorFlow's alexnet_benchmark.py of November 2015: the filters of "One weird trick for parallelizing
    # convolutional neural networks" (Krizhevsky, 2014) but 256 in conv4; neither normalisation nor dense layers.
    "tf2015": Variant(
        image_shape=(227, 227, 3),
        layers=(
            Conv("conv1", filters=64, kernel=11, stride=4, padding="VALID"),
            Pool("pool1"),
            Conv("conv2", filters=192, kernel=5),
            Pool("pool2"),
            Conv("conv3", filters=384, kernel=3),
            Conv("conv4", filters=256, kernel=3),
            Conv("conv5", filters=256, kernel=3),
            Pool("pool5"),
        ),
    ),
}


def alexnet(
    variant: str = "tf2015",
    backend: str = "cpu",
    seed: int | None = 0,
    dtype: np.typing.DTypeLike = np.float32,
    algorithm: str = "auto",
) -> Sequential:
    """A new AlexNet with random weights and zero biases.

    Shapes
        images (N, 227, 227, 3) -> (N, 6, 6, 256) for "tf2015". Its layers are conv1, relu1, pool1, ... pool5.
    State
        The gradient of the images is not computed (``net["conv1"].needs_dx`` is False), and each ReLU overwrites its
        convolution's output.
    Errors
        ValueError where the variant or the backend is unknown; TypeError for another dtype than float32 and float64.
    Source
        The comment at each entry of ``VARIANTS``.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, but must be one of {', '.join(map(repr, VARIANTS))}")
    rng = np.random.default_rng(seed)
    channels = VARIANTS[variant].image_shape[2]
    layers: list[tuple[str, Layer]] = []
    for row in VARIANTS[variant].layers:
        if isinstance(row, Pool):
            layers.append((row.name, MaxPool2d(row.kernel, row.stride, backend=backend)))
        else:
            conv = Conv2d(
                channels,
                row.filters,
                row.kernel,
                row.stride,
                row.padding,
                backend=backend,
                dtype=dtype,
                rng=rng,
                needs_dx=bool(layers),
                algorithm=algorithm,
            )
            layers.append((row.name, conv))
            layers.append((row.name.replace("conv", "relu"), ReLU(inplace=True, backend=backend)))
            channels = row.filters
    return Sequential(layers)

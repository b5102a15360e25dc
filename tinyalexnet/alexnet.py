"""AlexNet's variants, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Padding
from .layers import Conv2d, Layer, MaxPool2d, ReLU
from .network import Sequential


@dataclass(frozen=True)
class Conv:
    """A convolution of a table, with a ReLU behind it or behind the pool that follows."""

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
        images (N, 227, 227, 3) -> (N, 6, 6, 256) for "tf2015". Its layers are conv1, pool1, relu1, conv2, ... relu5:
        ReLU and max-pooling commute (docs/pooling.md), and behind the pool a ReLU has a quarter of the numbers to do.
    State
        The gradient of the images is not computed (``net["conv1"].needs_dx`` is False), and each ReLU works in place.
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
    rows = VARIANTS[variant].layers
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        layer: Layer
        if isinstance(row, Pool):
            layer = MaxPool2d(row.kernel, row.stride, backend=backend)
        else:
            layer = Conv2d(
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
            channels = row.filters
        layers.append((row.name, layer))
        if not isinstance(following, Pool):
            # conv1, pool1, relu1: the name is the convolution's or the pool's, with another word in front.
            layers.append((f"relu{row.name[4:]}", ReLU(inplace=True, backend=backend)))
    return Sequential(layers)

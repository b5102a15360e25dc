"""AlexNet's variants, as tables of layers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..geometry import Padding
from ..layers import Conv2d, Dense, Dropout, Flatten, Layer, LocalResponseNorm, MaxPool2d, ReLU
from ..layers.base import WEIGHT_STD
from ..ops.checks import Shape


class LayerOptions(NamedTuple):
    """The arguments that all layers of a network share; ``rng`` draws their weights, ``weight_std`` as in Variant."""

    backend: str
    dtype: np.typing.DTypeLike
    algorithm: str
    precision: str
    rng: np.random.Generator
    weight_std: float | None
    classes: int

    def std(self, inputs: int) -> float:
        """The standard deviation of the weights of an output that has so many inputs."""
        return math.sqrt(2 / inputs) if self.weight_std is None else self.weight_std


@dataclass(frozen=True)
class Row:
    """A row of a table: it makes a layer for an input of ``x_shape``."""

    name: str

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        """A new layer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Conv(Row):
    """A convolution."""

    filters: int
    kernel: int
    stride: int = 1
    padding: Padding = "SAME"
    groups: int = 1

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        channels = x_shape[3]
        return Conv2d(
            channels,
            self.filters,
            self.kernel,
            self.stride,
            self.padding,
            self.groups,
            backend=options.backend,
            dtype=options.dtype,
            rng=options.rng,
            algorithm=options.algorithm,
            precision=options.precision,
            std=options.std(self.kernel**2 * channels // self.groups),
        )


@dataclass(frozen=True)
class Pool(Row):
    """A max-pool. AlexNet's overlap: 3x3 windows, two pixels apart."""

    kernel: int = 3
    stride: int = 2
    padding: Padding = "VALID"

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        return MaxPool2d(self.kernel, self.stride, self.padding, backend=options.backend)


@dataclass(frozen=True)
class Relu(Row):
    """A ReLU, in place."""

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        return ReLU(inplace=True, backend=options.backend)


@dataclass(frozen=True)
class Norm(Row):
    """LRN (local response normalisation), in the convention of the system that it is from (docs/lrn.md)."""

    convention: Callable[..., LocalResponseNorm]
    options: dict[str, float] = field(default_factory=dict)

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        return self.convention(**self.options, backend=options.backend)


@dataclass(frozen=True)
class Flat(Row):
    """Images as vectors."""

    name: str = "flatten"

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        return Flatten()


@dataclass(frozen=True)
class Full(Row):
    """A dense layer. The last has no number of units: it has one for each class."""

    units: int | None = None

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        inputs, units = x_shape[1], self.units or options.classes
        shared = options.backend, options.dtype, options.rng
        return Dense(inputs, units, *shared, std=options.std(inputs), precision=options.precision)


@dataclass(frozen=True)
class Drop(Row):
    """A dropout."""

    rate: float = 0.5

    def layer(self, x_shape: Shape, options: LayerOptions) -> Layer:
        return Dropout(self.rate, rng=options.rng.spawn(1)[0], backend=options.backend)


@dataclass(frozen=True)
class Variant:
    """One of the networks called AlexNet: the shape of one image (H, W, C), the layers, and the number of classes.

    Weights are drawn with standard deviation ``weight_std``. None stands for √(2 / inputs of an output), with which a
    deep stack of ReLUs keeps its scale (He et al., "Delving deep into rectifiers", 2015).
    """

    image_shape: tuple[int, int, int]
    layers: tuple[Row, ...]
    num_classes: int | None = None
    weight_std: float | None = None


# The three dense layers of 2012, with a dropout behind the first two.
_CLASSIFIER: tuple[Row, ...] = (
    Flat(),
    Full("fc6", 4096),
    Relu("relu6"),
    Drop("drop6"),
    Full("fc7", 4096),
    Relu("relu7"),
    Drop("drop7"),
    Full("fc8"),
)


def _two_towers(norm: tuple[Callable[..., LocalResponseNorm], dict[str, float]]) -> tuple[Row, ...]:
    """The filters of 2012: two groups in conv2, conv4 and conv5, which were on two GPUs."""
    return (
        Conv("conv1", 96, 11, 4, "VALID"),
        Relu("relu1"),
        Norm("norm1", *norm),
        Pool("pool1"),
        Conv("conv2", 256, 5, groups=2),
        Relu("relu2"),
        Norm("norm2", *norm),
        Pool("pool2"),
        Conv("conv3", 384, 3),
        Relu("relu3"),
        Conv("conv4", 384, 3, groups=2),
        Relu("relu4"),
        Conv("conv5", 256, 3, groups=2),
        Pool("pool5"),
        Relu("relu5"),
        *_CLASSIFIER,
    )


# The last three convolutions of "One weird trick for parallelizing convolutional neural networks" (Krizhevsky, 2014).
# The paper's text has 384 filters in conv4; its author's own configuration, and everything made after it, has 256.
_ONE_TOWER_END: tuple[Row, ...] = (
    Conv("conv3", 384, 3),
    Relu("relu3"),
    Conv("conv4", 256, 3),
    Relu("relu4"),
    Conv("conv5", 256, 3),
    Pool("pool5"),
    Relu("relu5"),
)


def _deep_mnist(first: int, second: int, kernel: int, units: int) -> tuple[Row, ...]:
    """Two convolutions with a pool each, and two dense layers."""
    return (
        Conv("conv1", first, kernel),
        Pool("pool1", 2),
        Relu("relu1"),
        Conv("conv2", second, kernel),
        Pool("pool2", 2),
        Relu("relu2"),
        Flat(),
        Full("fc3", units),
        Relu("relu3"),
        Drop("drop3"),
        Full("fc4"),
    )


_OWT_NORM = {"size": 5, "scale": 1e-4, "power": 0.75, "min_divisor": 2.0}

VARIANTS = {
    # TensorFlow's alexnet_benchmark.py of November 2015: neither normalisation nor dense layers. ReLU and max-pooling
    # commute (docs/relu.md), and behind the pool a ReLU has a quarter of the elements.
    "tf2015": Variant(
        image_shape=(227, 227, 3),
        layers=(
            Conv("conv1", 64, 11, 4, "VALID"),
            Pool("pool1"),
            Relu("relu1"),
            Conv("conv2", 192, 5),
            Pool("pool2"),
            Relu("relu2"),
            *_ONE_TOWER_END,
        ),
        weight_std=WEIGHT_STD,
    ),
    # The same script in the tutorials of 2017: images of 224 pixels, conv1 padded by 3 and 4, and normalisation.
    "tf2017": Variant(
        image_shape=(224, 224, 3),
        layers=(
            Conv("conv1", 64, 11, 4),
            Relu("relu1"),
            Norm("norm1", LocalResponseNorm, {"radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}),
            Pool("pool1"),
            Conv("conv2", 192, 5),
            Relu("relu2"),
            Norm("norm2", LocalResponseNorm, {"radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}),
            Pool("pool2"),
            *_ONE_TOWER_END,
        ),
        weight_std=WEIGHT_STD,
    ),
    # cuda-convnet2's layers-imagenet-1gpu.cfg. It counts windows that begin inside the image and end past it: for
    # conv1 this is padding by 3 at the bottom and on the right. norm1 comes before the ReLU.
    "owt": Variant(
        image_shape=(224, 224, 3),
        layers=(
            Conv("conv1", 64, 11, 4, ((0, 3), (0, 3))),
            Norm("norm1", LocalResponseNorm.from_cuda_convnet, _OWT_NORM),
            Pool("pool1"),
            Relu("relu1"),
            Conv("conv2", 192, 5),
            Relu("relu2"),
            Norm("norm2", LocalResponseNorm.from_cuda_convnet, _OWT_NORM),
            Pool("pool2"),
            *_ONE_TOWER_END,
            *_CLASSIFIER,
        ),
        num_classes=1000,
    ),
    # torchvision.models.alexnet: no normalisation, and dropout before the dense layers instead of behind them. Its
    # average-pool to 6 x 6 pixels has nothing to do for images of this size.
    "torchvision": Variant(
        image_shape=(224, 224, 3),
        layers=(
            Conv("conv1", 64, 11, 4, 2),
            Pool("pool1"),
            Relu("relu1"),
            Conv("conv2", 192, 5),
            Pool("pool2"),
            Relu("relu2"),
            *_ONE_TOWER_END,
            Flat(),
            Drop("drop6"),
            Full("fc6", 4096),
            Relu("relu6"),
            Drop("drop7"),
            Full("fc7", 4096),
            Relu("relu7"),
            Full("fc8"),
        ),
        num_classes=1000,
    ),
    # Caffe's bvlc_alexnet.
    "caffe": Variant(
        image_shape=(227, 227, 3),
        layers=_two_towers((LocalResponseNorm.from_caffe, {"local_size": 5, "alpha": 1e-4, "beta": 0.75})),
        num_classes=1000,
    ),
    # Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012. Its
    # text has images of 224 pixels; the 55 x 55 outputs of its conv1 need 227.
    "krizhevsky2012": Variant(
        image_shape=(227, 227, 3),
        layers=_two_towers((LocalResponseNorm.from_paper, {"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75})),
        num_classes=1000,
    ),
    # The layout of TensorFlow's CIFAR-10 tutorial of 2015, on crops of 24 pixels.
    "cifar": Variant(
        image_shape=(24, 24, 3),
        layers=(
            Conv("conv1", 64, 5),
            Pool("pool1", padding="SAME"),
            Relu("relu1"),
            Norm("norm1", LocalResponseNorm, {"radius": 4, "bias": 1.0, "alpha": 0.001 / 9, "beta": 0.75}),
            Conv("conv2", 64, 5),
            Relu("relu2"),
            Norm("norm2", LocalResponseNorm, {"radius": 4, "bias": 1.0, "alpha": 0.001 / 9, "beta": 0.75}),
            Pool("pool2", padding="SAME"),
            Flat(),
            Full("fc3", 384),
            Relu("relu3"),
            Full("fc4", 192),
            Relu("relu4"),
            Full("fc5"),
        ),
        num_classes=10,
    ),
    # The layout of TensorFlow's "deep MNIST" tutorial of 2015.
    "mnist": Variant(image_shape=(28, 28, 1), layers=_deep_mnist(32, 64, 5, 1024), num_classes=10),
    # This package's own, for images of 8 x 8 pixels: the layout of "mnist" in small, which trains in seconds.
    "digits": Variant(image_shape=(8, 8, 1), layers=_deep_mnist(16, 32, 3, 64), num_classes=10),
}


def check_variant(variant: str) -> Variant:
    """The table of that name; ValueError if there is none."""
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, but must be one of {', '.join(map(repr, VARIANTS))}")
    return VARIANTS[variant]

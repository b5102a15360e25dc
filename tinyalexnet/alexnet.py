"""AlexNet's variants, as tables of layers, and the networks made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .geometry import Padding, Window, as_integer
from .kernels.contract import Shape
from .layers import WEIGHT_STD, Conv2d, Dense, Dropout, Flatten, Layer, LocalResponseNorm, MaxPool2d, ReLU
from .network import Sequential

NORMS: dict[str, Callable[..., LocalResponseNorm]] = {
    "tensorflow": LocalResponseNorm,
    "paper": LocalResponseNorm.from_paper,
    "caffe": LocalResponseNorm.from_caffe,
    "cuda-convnet": LocalResponseNorm.from_cuda_convnet,
}


@dataclass(frozen=True)
class Conv:
    """A convolution of a table."""

    name: str
    filters: int
    kernel: int
    stride: int = 1
    padding: Padding = "SAME"
    groups: int = 1


@dataclass(frozen=True)
class Pool:
    """A max-pool of a table. AlexNet's overlap: 3x3 windows, two pixels apart."""

    name: str
    kernel: int = 3
    stride: int = 2
    padding: Padding = "VALID"


@dataclass(frozen=True)
class Relu:
    """A ReLU of a table, in place."""

    name: str


@dataclass(frozen=True)
class Norm:
    """A local response normalisation, in the convention of the system that it is from (docs/normalisation.md)."""

    name: str
    convention: str
    options: dict[str, float] = field(default_factory=dict)

    def layer(self, backend: str) -> LocalResponseNorm:
        """The layer in this package's convention."""
        return NORMS[self.convention](**self.options, backend=backend)


@dataclass(frozen=True)
class Flat:
    """Images as vectors."""

    name: str = "flatten"


@dataclass(frozen=True)
class Full:
    """A dense layer of a table; one without a number of units is the last, with one unit for each class."""

    name: str
    units: int | None = None


@dataclass(frozen=True)
class Drop:
    """A dropout of a table."""

    name: str
    rate: float = 0.5


Row = Conv | Pool | Relu | Norm | Flat | Full | Drop


@dataclass(frozen=True)
class Variant:
    """One of the networks called AlexNet: the shape of one image (H, W, C), the layers, and what it classifies into.

    Weights are drawn with standard deviation ``weight_std``; None stands for √(2 / inputs of an output), with which a
    deep stack of ReLUs keeps its scale (He et al., "Delving deep into rectifiers", 2015).
    """

    image_shape: tuple[int, int, int]
    layers: tuple[Row, ...]
    num_classes: int | None = None
    weight_std: float | None = None


class Step(NamedTuple):
    """A row of a variant with its shapes for one image, its parameters and its multiply-adds."""

    row: Row
    x_shape: Shape
    shape: Shape
    parameters: int = 0
    multiply_adds: int = 0


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


def _two_towers(norm: tuple[str, dict[str, float]]) -> tuple[Row, ...]:
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

VARIANTS = {
    # TensorFlow's alexnet_benchmark.py of November 2015: neither normalisation nor dense layers. ReLU and max-pooling
    # commute (docs/pooling.md), and behind the pool a ReLU has a quarter of the numbers to do.
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
            Norm("norm1", "tensorflow", {"radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}),
            Pool("pool1"),
            Conv("conv2", 192, 5),
            Relu("relu2"),
            Norm("norm2", "tensorflow", {"radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}),
            Pool("pool2"),
            *_ONE_TOWER_END,
        ),
        weight_std=WEIGHT_STD,
    ),
    # cuda-convnet2's layers-imagenet-1gpu.cfg. It counts windows that begin inside the image and end past it, which
    # for conv1 is padding by 3 at the bottom and on the right. norm1 comes before the ReLU.
    "owt": Variant(
        image_shape=(224, 224, 3),
        layers=(
            Conv("conv1", 64, 11, 4, ((0, 3), (0, 3))),
            Norm("norm1", "cuda-convnet", {"size": 5, "scale": 1e-4, "power": 0.75, "min_divisor": 2.0}),
            Pool("pool1"),
            Relu("relu1"),
            Conv("conv2", 192, 5),
            Relu("relu2"),
            Norm("norm2", "cuda-convnet", {"size": 5, "scale": 1e-4, "power": 0.75, "min_divisor": 2.0}),
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
        layers=_two_towers(("caffe", {"local_size": 5, "alpha": 1e-4, "beta": 0.75})),
        num_classes=1000,
    ),
    # Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012. Its
    # text has images of 224 pixels; the 55 x 55 outputs of its conv1 need 227.
    "krizhevsky2012": Variant(
        image_shape=(227, 227, 3),
        layers=_two_towers(("paper", {"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75})),
        num_classes=1000,
    ),
    # The layout of TensorFlow's CIFAR-10 tutorial of 2015, on crops of 24 pixels.
    "cifar": Variant(
        image_shape=(24, 24, 3),
        layers=(
            Conv("conv1", 64, 5),
            Pool("pool1", padding="SAME"),
            Relu("relu1"),
            Norm("norm1", "tensorflow", {"radius": 4, "bias": 1.0, "alpha": 0.001 / 9, "beta": 0.75}),
            Conv("conv2", 64, 5),
            Relu("relu2"),
            Norm("norm2", "tensorflow", {"radius": 4, "bias": 1.0, "alpha": 0.001 / 9, "beta": 0.75}),
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
    "mnist": Variant(
        image_shape=(28, 28, 1),
        layers=(
            Conv("conv1", 32, 5),
            Pool("pool1", 2),
            Relu("relu1"),
            Conv("conv2", 64, 5),
            Pool("pool2", 2),
            Relu("relu2"),
            Flat(),
            Full("fc3", 1024),
            Relu("relu3"),
            Drop("drop3"),
            Full("fc4"),
        ),
        num_classes=10,
    ),
    # This package's own, for images of 8 x 8 pixels: the layout of "mnist" in small, which trains in seconds.
    "digits": Variant(
        image_shape=(8, 8, 1),
        layers=(
            Conv("conv1", 16, 3),
            Pool("pool1", 2),
            Relu("relu1"),
            Conv("conv2", 32, 3),
            Pool("pool2", 2),
            Relu("relu2"),
            Flat(),
            Full("fc3", 64),
            Relu("relu3"),
            Drop("drop3"),
            Full("fc4"),
        ),
        num_classes=10,
    ),
}


def check_variant(variant: str) -> Variant:
    """The table of that name; ValueError where there is none."""
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, but must be one of {', '.join(map(repr, VARIANTS))}")
    return VARIANTS[variant]


def steps(table: Variant, num_classes: int | None = None) -> Iterator[Step]:
    """Each row of a table with its shapes, parameters and multiply-adds, for one image; no weights are made."""
    shape: Shape = (1, *table.image_shape)
    for row in table.layers:
        x_shape, parameters, multiply_adds = shape, 0, 0
        if isinstance(row, (Conv, Pool)):
            out_size = Window(row.kernel, row.stride, row.padding).output_size((shape[1], shape[2]))
            shape = (1, *out_size, row.filters if isinstance(row, Conv) else shape[3])
            if isinstance(row, Conv):
                taps = row.kernel**2 * x_shape[3] // row.groups
                parameters, multiply_adds = (taps + 1) * row.filters, taps * math.prod(shape)
        elif isinstance(row, Flat):
            shape = 1, math.prod(shape)
        elif isinstance(row, Full):
            shape = 1, row.units or num_classes or table.num_classes or 0
            parameters, multiply_adds = (x_shape[1] + 1) * shape[1], x_shape[1] * shape[1]
        yield Step(row, x_shape, shape, parameters, multiply_adds)


def comparison() -> list[str]:
    """What tells the variants from each other, as the lines of two tables. Multiply-adds are of one image."""
    names = list(VARIANTS)
    return [*_comparison(names[: len(names) // 2]), "", *_comparison(names[len(names) // 2 :])]


def _comparison(names: list[str]) -> list[str]:
    columns = [["", "images", "conv1 padding", "convolutions", "two groups", "last image", "normalisation"]]
    columns[0] += ["dense", "dropout", "parameters", "multiply-adds"]
    for name in names:
        table = VARIANTS[name]
        all_steps = list(steps(table))
        convs = [row for row in table.layers if isinstance(row, Conv)]
        norms = [row.layer("reference") for row in table.layers if isinstance(row, Norm)]
        columns.append(
            [
                name,
                _times(table.image_shape),
                _sides(convs[0], table.image_shape),
                " ".join(str(row.filters) for row in convs),
                " ".join(row.name for row in convs if row.groups > 1) or "-",
                _times([step.shape for step in all_steps if len(step.shape) == 4][-1][1:]),
                _formula(norms[0]) if norms else "-",
                " ".join(str(step.shape[1]) for step in all_steps if isinstance(step.row, Full)) or "-",
                " ".join(row.name for row in table.layers if isinstance(row, Drop)) or "-",
                f"{sum(step.parameters for step in all_steps):,}",
                f"{sum(step.multiply_adds for step in all_steps):,}",
            ]
        )
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _sides(conv: Conv, image_shape: Shape) -> str:
    (top, bottom), (left, right) = Window(conv.kernel, conv.stride, conv.padding).pads((image_shape[0], image_shape[1]))
    return f"{top} {bottom}, {left} {right}"


def _formula(norm: LocalResponseNorm) -> str:
    return f"{2 * norm.radius + 1} ch, {norm.bias:g} + {norm.alpha:.2g} sum, ^{norm.beta:g}"


def alexnet(
    variant: str = "tf2015",
    backend: str = "cpu",
    seed: int | None = 0,
    dtype: np.typing.DTypeLike = np.float32,
    algorithm: str = "auto",
    num_classes: int | None = None,
) -> Sequential:
    """A new AlexNet with random weights and zero biases.

    Shapes
        images (N, 227, 227, 3) -> (N, 6, 6, 256) for "tf2015"; a variant with dense layers gives logits (N,
        ``num_classes``), by default as many as the original has. Layers are called conv1, pool1, relu1, ..., fc8.
    State
        The gradient of the images is not computed (``net["conv1"].needs_dx`` is False), and each ReLU works in place.
    Errors
        ValueError where the variant or the backend is unknown, num_classes is below 1 or given for a variant without
        dense layers; TypeError for another dtype than float32 and float64.
    Source
        The comment at each entry of ``VARIANTS``.
    """
    table = check_variant(variant)
    if num_classes is not None:
        as_integer("num_classes", num_classes, 1)
        if table.num_classes is None:
            raise ValueError(
                f"num_classes is {num_classes}, but must be left out for {variant!r}: it does not classify"
            )
    return build(table, backend, seed, dtype, algorithm, num_classes)


def build(
    table: Variant,
    backend: str = "cpu",
    seed: int | None = 0,
    dtype: np.typing.DTypeLike = np.float32,
    algorithm: str = "auto",
    num_classes: int | None = None,
) -> Sequential:
    """A new network of any table, as ``alexnet`` makes those of ``VARIANTS``; where ``weight_std`` is 0, all zeros.

    Shapes
        images (N, *``table.image_shape``) -> what the last row gives.
    State
        As ``alexnet``.
    Errors
        As the layers'.
    """
    rng = np.random.default_rng(seed)
    layers: list[tuple[str, Layer]] = []
    for step in steps(table, num_classes):
        row = step.row
        layer: Layer
        if isinstance(row, Conv):
            channels = step.x_shape[3]
            layer = Conv2d(
                channels,
                row.filters,
                row.kernel,
                row.stride,
                row.padding,
                row.groups,
                backend=backend,
                dtype=dtype,
                rng=rng,
                needs_dx=bool(layers),
                algorithm=algorithm,
                std=_std(table, row.kernel**2 * channels // row.groups),
            )
        elif isinstance(row, Full):
            inputs, units = step.x_shape[1], step.shape[1]
            layer = Dense(inputs, units, backend, dtype, rng, std=_std(table, inputs))
        elif isinstance(row, Pool):
            layer = MaxPool2d(row.kernel, row.stride, row.padding, backend=backend)
        elif isinstance(row, Relu):
            layer = ReLU(inplace=True, backend=backend)
        elif isinstance(row, Norm):
            layer = row.layer(backend)
        elif isinstance(row, Drop):
            layer = Dropout(row.rate, rng=rng.spawn(1)[0], backend=backend)
        else:
            layer = Flatten()
        layers.append((row.name, layer))
    return Sequential(layers)


def _std(table: Variant, inputs: int) -> float:
    return math.sqrt(2 / inputs) if table.weight_std is None else table.weight_std

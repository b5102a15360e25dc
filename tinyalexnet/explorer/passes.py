"""The pass that is looked at: a network, a photograph or random numbers, and a loss, from the flags of a command."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..alexnet import VARIANTS, alexnet, check_variant
from ..console import Console
from ..devices import device
from ..geometry import as_integer
from ..images import check_pillow, read_image
from ..losses import CrossEntropyLoss, L2Loss, OneOutput
from ..network import Sequential
from ..ops.checks import Shape
from ..tracing import Trace, trace
from ..training.augment import center_crop
from ..weights import pretrained
from .options import LOSSES, Options

MIDDLE, SPREAD = 128, 64
"""A photograph's bytes become (byte - MIDDLE) / SPREAD if no weights say otherwise, which float32 holds exactly."""


@dataclass(frozen=True)
class Prepared:
    """A network of a variant, its input (1, H, W, C), and what there is of a photograph (H, W, C), uint8, and of names
    of classes."""

    variant: str
    net: Sequential
    x: np.ndarray
    pixels: np.ndarray | None = None
    classes: tuple[str, ...] = ()


def prepared(options: Options, image: str | None, console: Console) -> Prepared:
    """The network and its input. Convolutions add their terms (``algorithm="gemm"``): each element is a sum of its
    formula.

    Errors
        ValueError if a file cannot be used or an option is not allowed; ImportError if an image needs Pillow.
    """
    as_integer("seed", options.seed, 0)
    if image is not None:
        check_pillow("images")
    if options.weights is not None:
        found = _trained(options, options.weights, image, console)
    else:
        name = options.variant or "tf2015"
        check_variant(name)
        table = replace(VARIANTS[name], weight_std=None)
        net = alexnet(table, options.backend, options.seed, algorithm="gemm")
        height, width, channels = VARIANTS[name].image_shape
        if image is None:
            found = Prepared(name, net, _random(VARIANTS[name].image_shape, options.seed))
        else:
            pixels = read_image(Path(image), (height, width), channels=channels)
            found = Prepared(name, net, (pixels[np.newaxis].astype(np.float32) - MIDDLE) / np.float32(SPREAD), pixels)
    found.net.train = False
    return found


def _trained(options: Options, weights: str, image: str | None, console: Console) -> Prepared:
    read = pretrained.load(weights, options.variant, say=console.line)
    net, names = read.network(options.backend, "gemm"), tuple(read.classes or ())
    if image is None:
        return Prepared(read.variant, net, _random(VARIANTS[read.variant].image_shape, options.seed), None, names)
    pixels = read.image(image)
    height, width, _ = VARIANTS[read.variant].image_shape
    return Prepared(
        read.variant, net, read.prepared(pixels), center_crop(pixels[np.newaxis], (height, width))[0], names
    )


def traced(options: Options, net: Sequential, x: np.ndarray) -> Trace:
    """A forward and a backward of the loss that the options name."""
    on_device = device(options.backend).to_device(x)
    return trace(net, on_device, _loss(options, net, net.output_shape(x.shape), on_device))


def _loss(options: Options, net: Sequential, out_shape: Shape, x: np.ndarray) -> L2Loss | CrossEntropyLoss | OneOutput:
    """The loss; ValueError if the text is none, or does not fit the output."""
    text = options.loss or ("likeliest" if len(out_shape) == 2 else "l2")
    wrong = ValueError(f"loss is {text!r}, but must be {LOSSES}")
    if text == "l2":
        return L2Loss(options.backend)
    kind, _, value = text.partition(":")
    if kind == "output":
        if not re.fullmatch(r"\d+(,\d+)*", value):
            raise wrong
        index = list(map(int, value.split(",")))
        full = [0] * (len(index) < len(out_shape)) + index
        if len(full) != len(out_shape) or any(i >= size for i, size in zip(full, out_shape, strict=True)):
            raise ValueError(f"loss is {text!r}, but must be output: and an index of an element of {out_shape}")
        return OneOutput(tuple(full), options.backend)
    if len(out_shape) != 2:
        raise ValueError(f"loss is {text!r}, but must be l2 or output:I,J,...: the network does not classify")
    if text == "likeliest":
        logits = device(options.backend).to_host(net.forward(x))
        return CrossEntropyLoss([int(logits[0].argmax())], options.backend)
    if kind != "class" or not re.fullmatch(r"\d+", value):
        raise wrong
    if int(value) >= out_shape[1]:
        raise ValueError(f"loss is {text!r}, but must name a class from 0 to {out_shape[1] - 1}")
    return CrossEntropyLoss([int(value)], options.backend)


def _random(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, *shape), np.float32)

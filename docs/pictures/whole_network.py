"""The network of the benchmark to scale, and the chain rule on the arrays of a small one."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, WIDTH, Canvas

from tinyalexnet import Conv2d, MaxPool2d, ReLU, Sequential, alexnet, l2_loss

PIXEL, CHANNEL = 0.82, 0.13
"""Units for a pixel across and for a channel up and down."""


def network() -> str:
    net = alexnet("tf2015", backend="reference")
    images = (1, 227, 227, 3)
    shapes = {"images": images, **net.output_shapes(images)}
    canvas = Canvas(
        'The network "tf2015", to scale',
        "From 227 x 227 pixels with 3 channels to 6 x 6 pixels with 256 channels. Each block is as wide as its array "
        "has columns and as high as it has channels: images become smaller and deeper.",
    )
    canvas.line(MARGIN, 60, "A block is as wide as the array has pixels, and as high as it has channels.", 15)
    y, axis, text = 84.0, 112, 222
    edges: list[tuple[float, float]] = []
    kinds = {"Conv2d": "weight", "MaxPool2d": "forward hatch"}
    for name, (_, height, width, channels) in shapes.items():
        layer = type(net[name]).__name__ if name != "images" else "images"
        if layer == "ReLU":
            continue  # as large as the array before it
        high, wide = max(channels * CHANNEL, 2.5), width * PIXEL
        row = max(high, 26)
        for side, (x, end) in zip((-1, 1), edges, strict=False):
            canvas.path(f"M{x:g} {end:g} L{axis + side * wide / 2:g} {y + (row - high) / 2:g}", "thin", tip=False)
        edges = [(axis + side * wide / 2, y + (row + high) / 2) for side in (-1, 1)]
        base, _, extra = kinds.get(layer, "forward").partition(" ")
        canvas.box(axis - wide / 2, y + (row - high) / 2, wide, high, base)
        if extra:
            canvas.box(axis - wide / 2, y + (row - high) / 2, wide, high, "hatched")
        middle = y + row / 2 + 6
        canvas.line(text, middle, name, 16, "bold")
        canvas.line(text + 74, middle, f"{height} x {width} x {channels}", 16, "mono")
        if name != "images":
            canvas.line(text + 222, middle, _words(net, name), 15, "soft")
        y += row + 16
    canvas.lines(MARGIN, y + 16, [
        "Grey: after a convolution (kernel / stride). Hatched: after a max-pool.",
        "A ReLU keeps the shape and is not drawn. The last one follows pool5.",
    ], 15)  # fmt: skip
    return canvas.svg(y + 54)


def _words(net: Sequential, name: str) -> str:
    """Kernel and stride of a layer."""
    window = net[name].window  # type: ignore[attr-defined]
    stride = f" / {window.stride[0]}" if window.stride[0] > 1 else ""
    return f"{window.kernel[0]}x{window.kernel[1]}{stride}"


def shape(array: np.ndarray) -> str:
    return "(" + ", ".join(map(str, array.shape)) + ")"


def chain_rule() -> str:
    conv = Conv2d(3, 4, kernel_size=3, padding="SAME", rng=0, backend="reference")
    layers = [("conv", conv), ("relu", ReLU(backend="reference")), ("pool", MaxPool2d(3, 2, backend="reference"))]
    arrays = [np.random.default_rng(0).standard_normal((2, 9, 9, 3)).astype(np.float32)]
    for _, layer in layers:
        arrays.append(layer.forward(arrays[-1]))
    loss, gradient = l2_loss(arrays[-1], backend="reference")
    gradients = [gradient]
    for _, layer in reversed(layers):
        gradients.insert(0, layer.backward(gradients[0]))  # type: ignore[arg-type]
    canvas = Canvas(
        "The chain rule on arrays",
        "A convolution, a ReLU, a max-pool and a loss. Arrays go down the left side. Gradients come back up the right "
        "side, and each has the shape of its array. Each layer multiplies by its own derivative and needs few arrays.",
    )
    left, right, height, step = 212, 348, 62, 122
    canvas.line(left, 62, "forward ↓", 16, "bold forward", "middle")
    canvas.line(right, 62, "backward ↑", 16, "bold gradient", "middle")
    names = ["x", "a", "y", "out"]
    boxes = [("conv", "keeps x, w"), ("relu", "keeps its output y"), ("pool", "keeps argmax"), ("loss", "½ Σ out²")]
    for k, (title, kept) in enumerate(boxes):
        y = 84 + k * step
        canvas.arrow((left, y), (left, y + step - height - 2), kind="forward")
        canvas.arrow((right, y + step - height), (right, y + 2), kind="gradient")
        canvas.line(left - 14, y + 36, f"{names[k]} {shape(arrays[k])}", 16, "forward", "end")
        canvas.line(right + 14, y + 36, f"d{names[k]} {shape(gradients[k])}", 16, "gradient")
        box = y + step - height
        canvas.box(160, box, 240, height, "weight", 8)
        canvas.line(WIDTH / 2, box + 26, title, 17, "bold", "middle")
        canvas.line(WIDTH / 2, box + 49, kept, 15, "", "middle")
    box = 84 + step - height
    for k, name in enumerate(["w", "b"]):
        y = box + 22 + k * 24
        canvas.line(122, y + 5, f"{name} {shape(conv.params[name])}", 14, "", "end")
        canvas.arrow((127, y), (157, y))
        canvas.line(437, y + 5, f"d{name} {shape(conv.grads[name])}", 14, "gradient")
        canvas.arrow((402, y), (432, y), kind="gradient")
    last = 84 + 4 * step
    canvas.arrow((left, last), (left, last + 34), kind="forward")
    canvas.line(left - 14, last + 26, "loss, one number", 16, "forward", "end")
    canvas.arrow((right, last + 36), (right, last + 2), kind="gradient")
    canvas.line(right + 14, last + 26, "1 = dloss / dloss", 16, "gradient")
    canvas.lines(MARGIN, last + 74, [
        "A gradient has the shape of its array. Each layer gets the gradient of its",
        "output and returns that of its input; conv also returns dw and db.",
    ])  # fmt: skip
    assert np.isfinite(loss)
    return canvas.svg(last + 114)

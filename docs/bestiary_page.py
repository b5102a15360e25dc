"""The tables of docs/bestiary.md, from the package.

python docs/bestiary_page.py     writes everything below the line MARK anew; what is above is written by hand
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tinyalexnet.bestiary import SUBJECTS

PAGE = Path(__file__).with_name("bestiary.md")
MARK = "<!-- from here on: python docs/bestiary_page.py -->"

HEADINGS = {
    "inner": "The chain rule on arrays",
    "dense_forward": "Dense layer",
    "relu_forward": "ReLU",
    "maxpool_forward": "Max-pooling",
    "avgpool_forward": "Average-pooling",
    "conv1d_forward": "Convolution in one dimension",
    "output_size": "Output size and SAME",
    "conv2d_forward": "Convolution",
    "im2col": "im2col and col2im",
    "lrn_forward": "LRN",
    "dropout_forward": "Dropout",
    "softmax_cross_entropy": "Softmax and cross-entropy",
    "momentum_step": "Momentum and weight decay",
    "dilated_conv2d_forward": "Dilated convolution",
    "conv2d_transpose_forward": "Transposed convolution",
    "depthwise_forward": "Depthwise convolution",
    "torch_same_pads": "PyTorch's SAME",
    "avgpool_counted_forward": "Average-pooling with padding counted",
    "batchnorm_forward": "Batch normalisation",
    "conv2d_nchw_forward": "Convolution in NCHW",
    "winograd_f23": "Winograd's F(2, 3)",
}
"""The heading before a subject, the first of its operation."""

ARRAYS = ("a", "x", "w", "gain", "logits")
"""Arrays whose shapes describe a case. The shapes of the others follow from them."""

PLAIN = {"stride": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1, "dilation": (1, 1)}
"""Options that are left out of a case's description if they have these values."""

OPTIONS = ("size", "kernel", *PLAIN, "radius", "bias", "alpha", "beta", "rate", "momentum", "decay", "epsilon")


def shape(array):
    """1x2x3; for one axis (2,)."""
    return "x".join(map(str, array.shape)) if array.ndim > 1 else str(array.shape)


def geometry(subject, pool):
    """A case in a few words: ``x 1x1x3x1, w 1x2x1x1, stride (2, 1)``."""
    forward = SUBJECTS.get(subject.forward, subject)
    names = {*subject.parameters, *forward.parameters}
    shapes = [f"{name} {shape(pool[name])}" for name in ARRAYS if name in names]
    numbers = [name for name in OPTIONS if name in names and not isinstance(pool[name], np.ndarray)]
    options = [f"{name} {pool[name]}" for name in numbers if pool[name] != PLAIN.get(name)]
    return ", ".join(shapes + options)


def linked(source):
    """A source with its issues, questions and pages as links."""
    source = re.sub(r"([\w.-]+/[\w.-]+) #(\d+)", r"[\1 #\2](https://github.com/\1/issues/\2)", source)
    source = re.sub(r"(\w+)\.stackexchange (\d+)", r"[\1.stackexchange \2](https://\1.stackexchange.com/q/\2)", source)
    source = re.sub(r"Stack Overflow (\d+)", r"[Stack Overflow \1](https://stackoverflow.com/q/\1)", source)
    source = source.replace("no public sighting known", "none known")
    return source.replace("docs/checking.md", "[checking.md](checking.md)")


def tables():
    """The lines of all tables."""
    for name, subject in SUBJECTS.items():
        if name in HEADINGS:
            yield from (f"## {HEADINGS[name]}", "")
        yield f"`{name}({', '.join(subject.parameters)})` returns {', '.join(f'`{o}`' for o in subject.outputs)}:"
        yield from ("", "| name | wrong in | what is wrong | smallest case | seen |", "|---|---|---|---|---|")
        geometries = {case.name: geometry(subject, case.pool) for case in subject.cases}
        for beast in subject.beasts:
            wrong = ", ".join(f"`{output}`" for output in (beast.output, *beast.also))
            case = f"{beast.shown_by}: {geometries[beast.shown_by]}"
            yield f"| {beast.name} | {wrong} | {beast.sentence} | {case} | {linked(beast.source)} |"
        yield ""


def page():
    """The text of the whole page."""
    by_hand = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    return f"{by_hand}{MARK}\n\n" + "\n".join(tables())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

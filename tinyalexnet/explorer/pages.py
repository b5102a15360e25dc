"""A trace as one page of HTML that needs nothing else: its arrays, compressed, and the scripts of ``page/``."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from ..geometry import Pair
from ..ops.conv2d.winograd.matrices import cook_toom
from ..tracing import Trace
from ..tracing.trace import Step
from .beasts import sentences

SCRIPTS = (
    *("arrays.js", "terms.js", "layers.js", "losses.js", "change.js"),
    *("draw.js", "beasts.js", "explanation.js", "whatif.js", "breakit.js", "ways.js", "app.js"),
)
"""They are one module: each may use the names of the others."""

MOST_BYTES = 96_000_000
"""Of the arrays of a page. A browser holds each twice while it unpacks it."""


@dataclass(frozen=True)
class Content:
    """What a page shows: plain data, and arrays by number."""

    meta: dict[str, Any]
    arrays: list[np.ndarray]

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays)


def content(found: Trace, title: str, about: str, pixels: np.ndarray | None = None) -> Content:
    """A trace of one image as data for a page. ``pixels`` (H, W, C), uint8, is the photograph.

    Each array is there once, whatever it is called: the output of a layer is the input of the next.

    Errors
        ValueError if the trace has more than one image.
    """
    first = next(iter(found.steps.values())).arrays["x"]
    if first.shape[0] != 1:
        raise ValueError(f"x has {first.shape[0]} images, but must have one: a page shows the way of one")
    arrays: list[np.ndarray] = []
    numbers: dict[bytes, int] = {}
    layers = [_layer(found, step, arrays, numbers) for step in found.steps.values()]
    photo = None if pixels is None else _number(np.ascontiguousarray(pixels, np.uint8), arrays, numbers)
    stored = [{"dtype": array.dtype.str[1:], "shape": array.shape} for array in arrays]
    what = {"title": title, "about": about, "beasts": sentences()}
    return Content({**what, "layers": layers, "stored": stored, "photo": photo, "serve": False}, arrays)


def _layer(found: Trace, step: Step, arrays: list[np.ndarray], numbers: dict[bytes, int]) -> dict[str, Any]:
    shape = step.arrays["x"].shape
    described = step.computes.description(shape) if hasattr(step.computes, "description") else {}
    kind = getattr(step.computes, "kind", "")
    layer: dict[str, Any] = {"kind": kind, **described, "name": step.name, "text": repr(step.computes), "arrays": {}}
    if "pads" in layer:
        layer["before"] = [before for before, _ in layer["pads"]]
    if kind == "conv" and layer["stride"] == (1, 1):
        layer["winograd"] = _winograd(layer["kernel"])
    for name, array in step.arrays.items():
        if found.maker(step.name, name) != (step.name, name):
            continue
        entry: dict[str, Any] = {"shape": array.shape}
        if name == "dw" and kind == "dense" and _is_outer_product(step.arrays):
            entry["outer"] = True
        else:
            entry["id"] = _number(_stored(array), arrays, numbers)
        layer["arrays"][name] = entry
    return layer


def _winograd(kernel: Pair) -> dict[str, Any]:
    """The matrices of a tile with two outputs along each axis, in float64."""
    axes = [cook_toom(2, r) for r in kernel]
    matrices = [
        {name: [[float(value) for value in row] for row in getattr(axis, name)] for name in ("at", "g", "bt")}
        for axis in axes
    ]
    return {"name": f"F(2x2, {kernel[0]}x{kernel[1]})", "height": matrices[0], "width": matrices[1]}


def _is_outer_product(arrays: dict[str, np.ndarray]) -> bool:
    """If each element of dw is a product of one x and one dout, rounded once: so it is for one image."""
    return bool(np.array_equal(arrays["dw"], arrays["x"].T * arrays["dout"]))


def _stored(array: np.ndarray) -> np.ndarray:
    """As float32 or float64, little-endian; masks and labels, which are small integers, too."""
    wide = array.dtype == np.float64
    return np.ascontiguousarray(array, "<f8" if wide else "<f4")


def _number(array: np.ndarray, arrays: list[np.ndarray], numbers: dict[bytes, int]) -> int:
    """The number of an array of these bytes, which is added unless it is there."""
    key = hashlib.sha256(array.tobytes()).digest() + array.dtype.str.encode()
    if key not in numbers:
        numbers[key] = len(arrays)
        arrays.append(array)
    return numbers[key]


def planes(array: np.ndarray) -> bytes:
    """The first bytes of all elements, then the second ones, ...: so they compress better, and unpack simply."""
    return array.view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def page(shown: Content) -> str:
    """The page with its arrays inside.

    Errors
        ValueError if they have more than ``MOST_BYTES``.
    """
    if shown.nbytes() > MOST_BYTES:
        raise ValueError(
            f"the arrays have {shown.nbytes() / 1e6:,.0f} MB, but a page must have at most {MOST_BYTES / 1e6:,.0f} MB: "
            "large dense layers fill a browser's memory; --serve sends an array when it is looked at"
        )
    packed = "\n".join(
        f'<script type="text/plain" id="a{number}">{_packed(array)}</script>'
        for number, array in enumerate(shown.arrays)
    )
    return _filled(shown.meta, packed, "'none'")


def served_page(shown: Content) -> str:
    """The page without arrays: it asks the server that sent it for them."""
    return _filled({**shown.meta, "serve": True}, "", "'self'")


def _packed(array: np.ndarray) -> str:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(compressor.compress(planes(array)) + compressor.flush()).decode()


def _filled(meta: dict[str, Any], arrays: str, connect: str) -> str:
    """Only the scripts and the style of this package run, and nothing is fetched but from ``connect``."""
    folder = files(__package__) / "page"
    style = (folder / "style.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        f"connect-src {connect}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(meta["title"]),
        "style": style,
        # In a script element nothing but "<" can end it, or begin a comment.
        "meta": json.dumps(meta, ensure_ascii=True).replace("<", "\\u003c"),
        "arrays": arrays,
        "script": script,
    }
    template = (folder / "page.html").read_text("utf-8")
    return re.sub(rf"{{({'|'.join(parts)})}}", lambda found: parts[found[1]], template)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

"""The explorer for networks in a program or a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..files import check_outputs, write
from ..layers import Layer
from ..losses import Loss, l2_loss
from ..tracing import Trace, trace
from .pages import content, page


class Explorer:
    """A page on which any number of a forward and a backward shows the terms that it was made of.

    Shapes
        ``image`` (H, W, C) or (1, H, W, C), as the network takes it; ``pixels`` (H, W, C), uint8, is shown beside it.
    State
        ``trace`` is the pass that is shown. The network's ``grads`` are those of it. Convolutions add the terms of
        their formula meanwhile (``algorithm="gemm"``).
    Errors
        As ``trace``; ValueError if there is more than one image.
    """

    def __init__(
        self,
        net: Layer,
        image: np.ndarray,
        loss: Loss = l2_loss,
        pixels: np.ndarray | None = None,
        title: str = "tinyalexnet",
    ) -> None:
        x = np.asarray(image)
        self._net = net
        with self.formulas():
            self.trace: Trace = trace(net, x if x.ndim in (2, 4) else x[np.newaxis], loss)
        self._content = content(self.trace, title, about(self.trace), pixels)
        self._path: Path | None = None

    @contextmanager
    def formulas(self) -> Iterator[None]:
        """Meanwhile the network's convolutions add the terms of their formula, as they did for ``trace``."""
        leaves: list[Any] = [layer for _, layer in self._net.leaves("layer")]
        chosen = [(layer, layer.algorithm) for layer in leaves if hasattr(layer, "algorithm")]
        for layer, _ in chosen:
            layer.algorithm = "gemm"
        try:
            yield
        finally:
            for layer, algorithm in chosen:
                layer.algorithm = algorithm

    def save(self, path: str | Path) -> Path:
        """Writes the page to a file, which opens without a network.

        Errors
            ValueError if the file cannot be written, or the arrays are too large for a page.
        """
        check_outputs({"path": path})
        write(path, page(self._content).encode())
        self._path = Path(path)
        return self._path

    def _repr_html_(self) -> str:
        """The saved page in a frame: the notebook itself stays small."""
        if self._path is None:
            return "<p>Call <code>save(path)</code> first, with a path beside the notebook: it is shown from there.</p>"
        source, title = (html.escape(text, quote=True) for text in (self._path.as_posix(), self._content.meta["title"]))
        return f'<iframe src="{source}" title="{title}" width="100%" height="720"></iframe>'


def about(found: Trace, classes: tuple[str, ...] = ()) -> str:
    """The loss, and the likeliest classes if there are some, in a line."""
    loss = found.steps["loss"]
    text = f"{loss.computes!r} = {found.loss:.6g}" if hasattr(loss.computes, "kind") else f"loss = {found.loss:.6g}"
    if "p" not in loss.arrays:
        return text
    p = loss.arrays["p"][0]
    order = np.argsort(-p, kind="stable")[:3].tolist()
    likeliest = ", ".join(f"{classes[k] if classes else k} {p[k]:.1%}" for k in order)
    return f"{text}; likeliest classes: {likeliest}"

"""The code that all pictures share. matplotlib is optional, so it is imported only when a picture is drawn."""

import warnings
from pathlib import Path
from typing import Any

from .files import replacing

FORMATS = (".png", ".svg")

COLOURS = {"forward": "#4477aa", "dx": "#ee6677", "dw": "#ccbb44"}
"""Paul Tol's bright scheme, which colour-blind readers can tell apart."""


def check(path: str) -> None:
    """ValueError if ``path`` does not end in one of FORMATS, ImportError if matplotlib is not installed."""
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"plot is {path!r}, but must end in {' or '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install 'tinyalexnet[plot]'") from None


def save(figure: Any, path: str, dpi: int) -> None:
    """Writes a figure of matplotlib to ``path``, whole or not at all."""
    with replacing(path) as temporary, warnings.catch_warnings():
        # A character that its font lacks, as of another script in the name of a class, is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(temporary, dpi=dpi)

"""To see where numbers come from: one element in a terminal, or a page on which any of them can be clicked.

See docs/explain.md.
"""

from .explorer import Explorer

__all__ = ["Explorer"]

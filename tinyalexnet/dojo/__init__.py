"""The dojo: exercises on one path, from the inner product to a network of one's own, and a check that explains.

python -m tinyalexnet dojo writes them into a folder and watches it. In a notebook:

    from tinyalexnet.dojo import check
    check("relu_backward", relu_backward)

See docs/dojo.md.
"""

from .check import Result, check

__all__ = ["Result", "check"]

"""Where a number comes from: ``trace`` keeps all arrays of a pass, ``explain`` tells the terms of any element of them.

See docs/explain.md.
"""

from .explanation import Element, Explanation, explain
from .trace import Trace, trace

__all__ = ["Element", "Explanation", "Trace", "explain", "trace"]

"""The precision of matrix products.

The public operations set it (``Device.precision``) and ``tensor_gemm`` reads it, so it need not be a parameter of all
that lies between.
"""

from contextvars import ContextVar, Token

_current: ContextVar[str] = ContextVar("precision", default="float32")


def current() -> str:
    """ "float32", or "tf32": of float32 arrays, tensor cores then use 11 of the 24 bits of each factor."""
    return _current.get()


class Within:
    """``with Within("tf32"):`` all products meanwhile have this precision."""

    __slots__ = ("_before", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._before: Token[str] = _current.set(self._name)

    def __exit__(self, *error: object) -> None:
        _current.reset(self._before)

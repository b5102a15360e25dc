"""Loops over registers, written out: a thread's tuples of eight elements.

Numba keeps a tuple in registers only if each index is a constant, and has no loop with constant indices. So such a loop
is made as source text, one line for each index, from one line in which ``{k}`` stands for the index.
"""

from typing import Any

from .runtime import device


def unrolled_tuple(count: int, parameters: str, element: str, **names: Any) -> Any:
    """A device function of ``parameters`` that returns the tuple of ``element`` for k = 0 ... ``count`` - 1.

    ``names`` are the functions and constants that the text refers to.
    """
    elements = "".join(f"{element.format(k=k)}, " for k in range(count))
    return _compiled(parameters, f"return ({elements})", names)


def unrolled_loop(count: int, parameters: str, statement: str, **names: Any) -> Any:
    """A device function of ``parameters`` that runs ``statement`` for k = 0 ... ``count`` - 1 and returns nothing."""
    return _compiled(parameters, "\n    ".join(statement.format(k=k) for k in range(count)), names)


def unrolled_sum(count: int, parameters: str, total: str, **names: Any) -> Any:
    """A device function that sets its first parameter to ``total``, for k = 0 ... ``count`` - 1, and returns it."""
    first = parameters.partition(",")[0]
    lines = [f"{first} = {total.format(k=k)}" for k in range(count)]
    return _compiled(parameters, "\n    ".join([*lines, f"return {first}"]), names)


def _compiled(parameters: str, body: str, names: dict[str, Any]) -> Any:
    namespace = dict(names)
    exec(f"def unrolled({parameters}):\n    {body}\n", namespace)
    return device(namespace["unrolled"])

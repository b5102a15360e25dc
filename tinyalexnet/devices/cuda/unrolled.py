"""Loops over registers, written out: a thread's tuples of eight elements.

Numba keeps a tuple in registers only if each index is a constant, and has no loop with constant indices. So such a loop
is made as source text, one line for each index, from one line in which ``{k}`` stands for the index.
"""

from typing import Any

from .runtime import cuda, device


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


def one_of(bodies: tuple[Any, ...], shared: str, own: str, name: str, module: str) -> Any:
    """A function that calls the body whose number is ``cuda.blockIdx.y``.

    Its parameters are the ``shared`` ones, and then for each body the ``own`` ones; both are passed on in this order.
    """
    names: dict[str, Any] = {f"body{k}": body for k, body in enumerate(bodies)} | {"cuda": cuda, "__name__": module}
    of = [", ".join(f"{parameter}{k}" for parameter in own.split(", ")) for k in range(len(bodies))]
    calls = (f"    if cuda.blockIdx.y == {k}:\n        body{k}({shared}, {of[k]})\n" for k in range(len(bodies)))
    exec(f"def {name}({shared}, {', '.join(of)}):\n{''.join(calls)}", names)
    return names[name]


def _compiled(parameters: str, body: str, names: dict[str, Any]) -> Any:
    namespace = dict(names)
    exec(f"def unrolled({parameters}):\n    {body}\n", namespace)
    return device(namespace["unrolled"])

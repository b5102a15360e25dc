"""The terms of single elements of dropout: out and dx are the same function, of x and of dout."""

from collections.abc import Mapping

import numpy as np

from ..terms import Factor, Index, Terms, constant, filled, one_of, product

Arrays = Mapping[str, np.ndarray]


def terms(name: str, of: str, index: Index, arrays: Arrays, rate: float) -> Terms:
    """The element, divided by 1 - ``rate`` if it is kept. Without a mask, as in a test, the element itself."""
    element = one_of(arrays[of], of, index)
    if "kept" not in arrays:
        return Terms(f"{name} = {of}", f"{filled(name, index)} = {filled(of, index)}", (product([element]),))
    kept = Factor("is kept", np.array([float(arrays["kept"][index])]))
    return Terms(
        f"{name} = {of} / (1 - rate) if kept, else 0",
        f"{filled(name, index)} = {filled(of, index)} / (1 - {rate:g}) if kept, else 0",
        (product([element, kept, constant("1 / (1 - rate)", 1 / (1 - rate), 1)]),),
        roundings=2,
    )

"""BLAS on one thread, for rungs 2 to 4, whose tasks are the only parallelism."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController

try:
    # What Numba calls for a product; it must be loaded to be limited.
    import scipy.linalg.cython_blas  # noqa: F401
except ImportError:
    raise ImportError("rungs 2 to 4 need SciPy, whose BLAS Numba calls: .venv/bin/pip install scipy") from None

_LIBRARIES = ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    limited: AbstractContextManager[Any] = _LIBRARIES.limit(limits=1, user_api="blas")
    return limited

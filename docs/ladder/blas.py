"""BLAS on one thread, for rungs 2 to 4, whose tasks are the only parallelism."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import scipy.linalg.cython_blas  # noqa: F401 - what Numba calls for a product; it must be loaded to be limited
from threadpoolctl import ThreadpoolController

_LIBRARIES = ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    limited: AbstractContextManager[Any] = _LIBRARIES.limit(limits=1, user_api="blas")
    return limited

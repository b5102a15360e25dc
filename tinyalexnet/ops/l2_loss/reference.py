"""Half the sum of squares in NumPy."""

import numpy as np


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    return 0.5 * float(np.sum(np.square(y, dtype=np.float64))), y.copy()

import numpy as np


def case():
    return {
        "dout": np.array([1.0]).reshape(1, 1, 1, 1),
        "w": np.array([1.0, 0]).reshape(1, 2, 1, 1),
        "x_shape": (1, 1, 2, 1),
    }

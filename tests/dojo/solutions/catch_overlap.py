import numpy as np


def case():
    return {
        "dout": np.ones((1, 1, 2, 1)),
        "x": np.array([0.0, 1, 0]).reshape(1, 1, 3, 1),
        "kernel": (1, 2),
        "stride": (1, 1),
    }

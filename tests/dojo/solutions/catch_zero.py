import numpy as np


def case():
    return {"dout": np.array([1.0]), "x": np.array([0.0])}

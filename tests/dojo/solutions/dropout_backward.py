import numpy as np


def dropout_backward(dout, kept, rate):
    return np.where(kept, dout / (1 - rate), 0.0)

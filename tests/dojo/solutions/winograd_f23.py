import numpy as np


def winograd_f23(x, w):
    q0 = (x[0] - x[2]) * w[0]
    q1 = (x[1] + x[2]) * ((w[0] + w[1] + w[2]) / 2)
    q2 = (x[2] - x[1]) * ((w[0] - w[1] + w[2]) / 2)
    q3 = (x[1] - x[3]) * w[2]
    return np.array([q0 + q1 + q2, q1 - q2 - q3])

import numpy as np


def lrn_slope(c, k, x, radius, bias, alpha, beta):
    near = range(max(k - radius, 0), min(k + radius + 1, len(x)))
    scale = bias + alpha * np.sum(x[near] ** 2)
    slope = 0.0
    if c == k:
        slope += scale**-beta
    if abs(c - k) <= radius:
        slope -= 2 * alpha * beta * x[c] * x[k] * scale ** (-beta - 1)
    return slope

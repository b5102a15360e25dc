import numpy as np


def batchnorm_backward(dout, x, gamma, epsilon):
    std = np.sqrt(x.var(axis=0) + epsilon)
    y = (x - x.mean(axis=0)) / std
    dgamma, dbeta = (dout * y).sum(axis=0), dout.sum(axis=0)
    dx = gamma / std * (dout - dout.mean(axis=0) - y * (dout * y).mean(axis=0))
    return dx, dgamma, dbeta

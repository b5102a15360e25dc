"""Batch normalisation, backward: fill the hole.

In training, each column of x (N, C) is moved to mean 0 and scaled to variance 1, over the N rows of the batch:

    mean[c]  = (sum over n of x[n,c]) / N
    var[c]   = (sum over n of (x[n,c] - mean[c])²) / N
    y[n,c]   = (x[n,c] - mean[c]) / sqrt(var[c] + epsilon)
    out[n,c] = gamma[c] · y[n,c] + beta[c]

dout is the gradient of the loss with respect to out. Write the function that returns dx, dgamma and dbeta.

x[n,c] acts on the loss in three ways: through its own y, through the mean, and through the variance. The last two are
in the y of all rows. Two facts help:

    the sum of y[n,c] over n is 0
    ∂var[c]/∂x[n,c] = 2·(x[n,c] - mean[c])/N

    x = 3 -1 (two rows of one column), gamma = 3, epsilon = 5:   mean = 1, var = 4, y = 2/3 -2/3
    dout = 2 1:     dgamma = 2·2/3 - 1·2/3 = 0.667     dbeta = 3     dx = 0.278 -0.278

    x, dout and dx (N, C)        gamma, dgamma and dbeta (C,)        epsilon is a number
"""

import numpy as np


def batchnorm_backward(dout, x, gamma, epsilon):
    raise NotImplementedError

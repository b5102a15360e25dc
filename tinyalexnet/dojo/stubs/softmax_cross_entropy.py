"""Softmax and cross-entropy: fill the hole.

Each row z of logits has one number for each class. Softmax makes probabilities of them. The loss of the row is large if
the probability of its label is small:

    p[k] = exp(z[k]) / (sum over j of exp(z[j]))        softmax
    loss of the row = -log(p[label])                    cross-entropy

The loss of a batch is the mean over its N rows. Write the function that returns two values:

    loss       one number
    dlogits    the gradient of the loss with respect to each logit, of the shape (N, K)

First derive it for one row: write -log(p[label]) as a difference of two terms, and take the derivative with respect to
z[k]. The result is short.

    logits = [1 2], labels = [0]:     p = 0.269 0.731     loss = 1.313     dlogits = [-0.731 0.731]

exp(1000) is too large for a float64, so large logits need care: p does not change if the same number is subtracted from
all logits of a row.

    logits (N, K)        labels (N,), ints from 0 to K - 1
"""

import numpy as np


def softmax_cross_entropy(logits, labels):
    raise NotImplementedError

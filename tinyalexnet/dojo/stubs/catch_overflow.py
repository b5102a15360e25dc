"""Softmax without care: catch the mistake.

Somebody wrote the gradient of softmax and cross-entropy like this:

    exponentials = np.exp(logits)
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    dlogits = (p - one_hot(labels)) / N

This is exactly the formula, and for logits between -700 and 700 it works. Write the smallest test case for which it
gives NaN: one logit is enough. The right function subtracts the largest logit of each row first, and gives a number.

    logits (N, K)        labels (N,), ints from 0 to K - 1

The case below does not show the mistake. Change it.
"""

import numpy as np


def case():
    return {"logits": np.array([[10.0, -10.0]]), "labels": np.array([0])}

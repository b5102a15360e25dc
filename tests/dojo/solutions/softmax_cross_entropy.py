import numpy as np


def softmax_cross_entropy(logits, labels):
    rows = np.arange(len(logits))
    z = logits - logits.max(axis=1, keepdims=True)
    sums = np.exp(z).sum(axis=1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - z[rows, labels])
    dlogits = np.exp(z) / sums
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(logits)

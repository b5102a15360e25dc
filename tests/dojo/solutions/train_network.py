import numpy as np


def dense_backward(dout, x, w):
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def softmax_cross_entropy(logits, labels):
    rows = np.arange(len(logits))
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    dlogits = p.copy()
    dlogits[rows, labels] -= 1
    return -np.mean(np.log(p[rows, labels])), dlogits / len(rows)


def loss_and_gradients(params, images, labels):
    hidden = images @ params["w1"] + params["b1"]
    active = np.maximum(hidden, 0)
    loss, dlogits = softmax_cross_entropy(active @ params["w2"] + params["b2"], labels)
    dactive, dw2, db2 = dense_backward(dlogits, active, params["w2"])
    dhidden = np.where(hidden > 0, dactive, 0.0)
    _, dw1, db1 = dense_backward(dhidden, images, params["w1"])
    return loss, {"w1": dw1, "b1": db1, "w2": dw2, "b2": db2}

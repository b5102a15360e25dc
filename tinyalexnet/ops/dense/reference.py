"""The dense layer in NumPy."""

import numpy as np


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    out: np.ndarray = x @ w + b
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    dx: np.ndarray = dout @ w.T
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.T @ dout, dout.sum(axis=0)

"""A layer whose NumPy is noted, so that it can be recorded without compiled kernels."""

from __future__ import annotations

import numpy as np

from tinyalexnet.devices.cpu import memory
from tinyalexnet.devices.cpu.recording import done, made
from tinyalexnet.layers.base import Layer


class Scale(Layer):
    """y = w x, and in training with a number that it draws: y = w x + r."""

    computes_in_ops = True

    def __init__(self, w, seed=None, backend="reference"):
        super().__init__(backend)
        self.params, self.train, self._number = {"w": np.array([w], np.float64)}, True, np.zeros(1)
        self.rng = None if seed is None else np.random.default_rng(seed)

    def draw(self):
        if self.rng is not None:
            self._number[...] = self.rng.integers(100)
            self._is_drawn = True

    def forward(self, x):
        if x.shape[-1] == 13:
            raise ValueError("thirteen columns")
        if self.rng is not None and not self._is_drawn:
            self.draw()
        self._is_drawn = False
        out = memory.empty(x.shape, x.dtype)
        done(np.multiply, x, self.params["w"], out)
        if self.rng is not None:
            done(np.add, out, self._number, out)
        self._save(x)
        return out

    def backward(self, dout):
        (x,) = self._restored()
        self.grads = {"w": made(np.add.reduce, made(np.multiply, x, dout).reshape(1, -1), 1)}
        dx = memory.empty(dout.shape, dout.dtype)
        done(np.multiply, dout, self.params["w"], dx)
        return dx

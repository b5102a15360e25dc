"""A "framework" for the tests of ``versus.py``: the network rebuilt from its description, on the reference."""

from __future__ import annotations

import atexit
import sys
import time

from tinyalexnet import (
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
    l2_loss,
    softmax_cross_entropy,
)


class Network:
    def __init__(self, layers, images, labels, params, threads, device):
        self.version = "fake 1.2" if device == "cpu" else f"fake 1.2, {device}"
        if threads == 13:
            raise MemoryError("no room for\n13 threads")
        print("frameworks print what they like")
        self.net = Sequential([(layer["name"], built(layer, params)) for layer in layers])
        for name, value in params.items():
            self.net.params[name][...] = value
        self.images, self.labels = images, labels

    def forward(self):
        time.sleep(0.01)
        self.net.forward(self.images)

    def forward_backward(self):
        time.sleep(0.02)
        self.backward(self.net.forward(self.images))
        if len(self.images) == 5:
            # Last words that come after the answers' pipe is closed, as a busy machine has them.
            atexit.register(lambda: (time.sleep(0.5), print("six would be worse", file=sys.stderr)))
            sys.exit("five are too many")

    def results(self):
        self.net.train = False
        output = self.net.forward(self.images)
        self.backward(output)
        return output, self.net.grads

    def backward(self, output):
        loss = l2_loss(output) if self.labels is None else softmax_cross_entropy(output, self.labels, "reference")
        self.net.backward(loss[1])


def built(layer, params):
    kind, w = layer["kind"], params.get(f"{layer['name']}.w")
    if kind == "relu":
        return ReLU(backend="reference")
    if kind == "lrn":
        return LocalResponseNorm(layer["radius"], layer["bias"], layer["alpha"], layer["beta"], backend="reference")
    if kind == "flatten":
        return Flatten()
    if kind == "dense":
        return Dense(*w.shape, backend="reference")
    if kind == "dropout":
        return Dropout(layer["rate"], backend="reference")
    (top, bottom), (left, right) = layer["pads"]
    window = layer["kernel"], layer["stride"], ((top, bottom), (left, right))
    if kind == "pool":
        return MaxPool2d(*window, backend="reference")
    channels = w.shape[2] * layer["groups"], w.shape[3]
    return Conv2d(*channels, *window, groups=layer["groups"], backend="reference")

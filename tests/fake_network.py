"""A "framework" for the tests of ``versus.py``: the network rebuilt from its description, on the reference kernels."""

from __future__ import annotations

import sys
import time

from tinyalexnet import Conv2d, MaxPool2d, ReLU, Sequential, l2_loss

VERSION = "fake 1.2"


class Network:
    def __init__(self, layers, images, params, threads):
        if threads == 13:
            raise MemoryError("no room for\n13 threads")
        print("frameworks print what they like")
        built = []
        for layer in layers:
            if layer["kind"] == "relu":
                built.append((layer["name"], ReLU(backend="reference")))
                continue
            (top, bottom), (left, right) = layer["pads"]
            window = layer["kernel"], layer["stride"], ((top, bottom), (left, right))
            if layer["kind"] == "pool":
                built.append((layer["name"], MaxPool2d(*window, backend="reference")))
            else:
                w = params[f"{layer['name']}.w"]
                channels = w.shape[2] * layer["groups"], w.shape[3]
                built.append((layer["name"], Conv2d(*channels, *window, groups=layer["groups"], backend="reference")))
        self.net = Sequential(built)
        for name, value in params.items():
            self.net.params[name][...] = value
        self.images = images

    def forward(self):
        time.sleep(0.01)
        self.net.forward(self.images)

    def forward_backward(self):
        time.sleep(0.02)
        self.net.backward(l2_loss(self.net.forward(self.images))[1])
        if len(self.images) == 5:
            sys.exit("five are too many")

    def results(self):
        output = self.net.forward(self.images)
        self.net.backward(l2_loss(output)[1])
        return output, self.net.grads

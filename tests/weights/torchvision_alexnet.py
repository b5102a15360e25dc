"""torchvision's AlexNet, which is not a dependency, written out for PyTorch."""

from __future__ import annotations

from typing import Any


def module(torch: Any, num_classes: int = 1000) -> Any:
    """With random weights, of the scale with which a stack of ReLUs keeps its own, and random biases.

    Source
        torchvision/models/alexnet.py.
    """
    nn = torch.nn
    torch.manual_seed(20151126)
    convolutions = [
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
    ]
    dense = [
        *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True)),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
        nn.Linear(4096, num_classes),
    ]
    net = nn.Sequential()
    net.add_module("features", nn.Sequential(*convolutions))
    net.add_module("avgpool", nn.AdaptiveAvgPool2d((6, 6)))
    net.add_module("flatten", nn.Flatten(1))
    net.add_module("classifier", nn.Sequential(*dense))
    with torch.no_grad():
        for name, value in net.named_parameters():
            # PyTorch draws w from ± 1 / √inputs, a standard deviation of 1 / √(3 inputs).
            value.mul_(6**0.5 if name.endswith("weight") else 1)
    return net.eval()

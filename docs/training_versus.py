"""python docs/training_versus.py [VARIANT] [rounds=N] [threads=N]: steps of training here and in PyTorch, in turn.

VARIANT is mnist (the default), digits or cifar. Whole steps of the README's training: images from the data set, their
mean subtracted, random crops, half of them mirrored; batch 128; forward with dropout, loss, backward; SGD with momentum
0.9 and weight decay, biases at twice the rate and without decay; the loss and the right answers of each step. PyTorch
has the benchmark's network, in the layout in which its steps are faster, in a process of its own, and a plain loop.
Both have as many threads, 2 unless ``threads`` says otherwise. If the data set is not there, its images are random.

Prints, of three steps on the first images without dropout, crops and mirror images, the losses of both, which must be
equal up to rounding; and then images a second, and the median and the quartiles of the ratio over the rounds.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.benchmark.versus import TURN_SECONDS, describe
from tinyalexnet.devices import device
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.augment import center_crop, standardised
from tinyalexnet.training.data import Dataset, Images, load

DATA = {"mnist": ("fashion-mnist", (28, 28, 1)), "digits": ("digits", (8, 8, 1)), "cifar": ("cifar10", (32, 32, 3))}
"""The data set of each variant, and the shape of its images."""

SAME_STEPS = 3
"""Steps whose losses are compared."""

LAYOUT_STEPS = 8
"""Steps of PyTorch in each layout, of which the fastest counts."""


def dataset(variant: str) -> Dataset:
    name, shape = DATA[variant]
    try:
        return load(name)
    except (ImportError, ValueError):
        rng, classes = np.random.default_rng(0), tuple(map(str, range(10)))
        images = Images(rng.integers(0, 256, (6400, *shape), dtype=np.uint8), rng.integers(0, 10, 6400), classes)
        return Dataset("random images", images, images)


class Ours:
    """The package's own training."""

    def __init__(self, variant: str, images: Dataset) -> None:
        self.training = Training(Settings(variant, mirror=True), images)

    def step(self) -> None:
        self.training.advance()

    def losses(self) -> list[float]:
        """Of steps on the first images without anything random; they change the weights."""
        training, first = self.training, slice(0, self.training.settings.batch_size)
        train = training.dataset.train
        images = center_crop(standardised(train.pixels[first], training.mean, training.scale), training.image_size)
        training.net.train = False
        training.optimizer.set_rate(training.settings.learning_rate)
        return [float(training._step(images, train.labels[first]).loss) for _ in range(SAME_STEPS)]

    def given(self) -> dict[str, Any]:
        """What PyTorch needs for the same training."""
        training, train = self.training, self.training.dataset.train
        x_shape = training.settings.batch_size, *VARIANTS[training.settings.variant].image_shape
        return {
            "layers": describe(training.net, x_shape),
            "params": {name: value.copy() for name, value in training.net.params.items()},
            "pixels": train.pixels,
            "labels": train.labels,
            "mean": training.mean,
            "scale": float(training.scale),
            "size": training.image_size,
            "settings": training.settings,
        }


class Theirs:
    """The same training as a plain loop of PyTorch; images are (N, C, H, W)."""

    def __init__(self, given: dict[str, Any], threads: int) -> None:
        import torch

        from tinyalexnet.benchmark.peers import torch_network

        self.torch, self.settings, self.size = torch, given["settings"], given["size"]
        self.layouts = torch_network.LAYOUTS
        self.pixels = torch.from_numpy(given["pixels"]).permute(0, 3, 1, 2)
        self.labels = torch.from_numpy(given["labels"])
        self.mean = torch.from_numpy(given["mean"]).permute(2, 0, 1)
        self.scale, self.seen, self.sum_of_losses, self.right = given["scale"], 0, 0.0, 0
        torch.manual_seed(0)
        self.order = torch.randperm(len(self.labels))
        first = np.zeros((1, *self.size, self.pixels.shape[1]), np.float32)
        self.network = torch_network.Network(
            given["layers"], first, given["labels"][:1], given["params"], threads, "cpu"
        )
        self.arrange("channels_last")

    def arrange(self, layout: str) -> None:
        """The filters in another order in memory, and a new optimizer of them; the images follow in each step."""
        self.network._arrange(layout)
        self.layout, params, settings = layout, self.network.params, self.settings
        weights, biases = ([value for name, value in params.items() if name.endswith(end)] for end in (".w", ".b"))
        rate = settings.learning_rate
        self.optimizer = self.torch.optim.SGD(
            [
                {"params": weights, "weight_decay": settings.weight_decay},
                {"params": biases, "lr": settings.bias_rate_factor * rate},
            ],
            lr=rate,
            momentum=settings.momentum,
        )

    def take_faster_layout(self) -> str:
        seconds = {}
        for layout in self.layouts:
            self.arrange(layout)
            seconds[layout] = min(seconds_of(self.step) for _ in range(LAYOUT_STEPS))
        self.arrange(min(seconds, key=seconds.__getitem__))
        return f"{self.network.version}, {self.layout}"

    def step(self) -> None:
        images, labels = self.batch()
        loss, right = self.moved(images, labels, train=True)
        self.sum_of_losses, self.right = self.sum_of_losses + loss, self.right + right

    def batch(self) -> tuple[Any, Any]:
        """The next images of the epoch, cropped and mirrored at random."""
        torch, size = self.torch, self.settings.batch_size
        if self.seen + size > len(self.order):
            self.order, self.seen = torch.randperm(len(self.labels)), 0
        chosen = self.order[self.seen : self.seen + size]
        self.seen += size
        images = self.standardised(self.pixels[chosen])
        height, width = self.size
        rows, columns = images.shape[2] - height, images.shape[3] - width
        if rows or columns:
            top, left = (torch.randint(0, most + 1, (size, 1)) for most in (rows, columns))
            down, across = top + torch.arange(height), left + torch.arange(width)
            # Indices of images, rows and columns with all channels between them: the channels come last.
            images = images.permute(0, 2, 3, 1)[torch.arange(size)[:, None, None], down[:, :, None], across[:, None]]
            images = images.permute(0, 3, 1, 2)
        mirrored = torch.rand(size) < 0.5
        return torch.where(mirrored[:, None, None, None], images.flip(3), images), self.labels[chosen]

    def standardised(self, pixels: Any) -> Any:
        return (pixels.float() - self.mean) * self.scale

    def moved(self, images: Any, labels: Any, train: bool) -> tuple[float, int]:
        """A step on these images: its loss, and how many answers are right."""
        self.network.images = images.contiguous(memory_format=self.layouts[self.layout])
        self.optimizer.zero_grad()
        logits = self.network._output(train)
        loss = self.torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item(), int((logits.argmax(1) == labels).sum())

    def losses(self) -> list[float]:
        (height, width), count = self.size, self.settings.batch_size
        images = self.standardised(self.pixels[:count])
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        images = images[:, :, top : top + height, left : left + width]
        return [self.moved(images, self.labels[:count], train=False)[0] for _ in range(SAME_STEPS)]


def seconds_of(step: Callable[[], object]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def turn(step: Callable[[], object]) -> float:
    """Seconds of a step: the mean of a turn's, after one that warms up caches and threads."""
    steps = max(1, round(TURN_SECONDS / max(seconds_of(step), 1e-6)))
    return seconds_of(lambda: [step() for _ in range(steps)]) / steps


def serve(connection: Any, threads: int) -> None:
    """The process of PyTorch: does what it is told until it is told to end."""
    theirs = Theirs(connection.recv(), threads)
    answers = {"losses": theirs.losses, "layout": theirs.take_faster_layout, "turn": lambda: turn(theirs.step)}
    while (command := connection.recv()) != "end":
        connection.send(answers[command]())


def main(variant: str = "mnist", rounds: int = 20, threads: int = 2) -> None:
    images = dataset(variant)
    ours, count = Ours(variant, images), min(threads, device("cpu").most_threads())
    connection, other_end = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(other_end, count), daemon=True)
    process.start()
    other_end.close()  # so that the end of that process is seen here

    def ask(command: str) -> Any:
        connection.send(command)
        return connection.recv()

    connection.send(ours.given())
    with device("cpu").limit_threads(count):
        pair = ours.losses(), ask("losses")
        difference = max(abs(a - b) / abs(b) for a, b in zip(*pair, strict=True))
        print(
            f"{variant} on {images.name}, batch {ours.training.settings.batch_size}, {count} threads; {ask('layout')}"
        )
        for name, losses in zip(("tinyalexnet", "PyTorch"), pair, strict=True):
            print(f"losses of the same steps, {name}: {', '.join(f'{loss:.6f}' for loss in losses)}")
        print(f"largest relative difference {difference:.1e}", flush=True)
        times = [(turn(ours.step), ask("turn")) for _ in range(rounds)]
    connection.send("end")
    process.join()
    for name, seconds in zip(("tinyalexnet", "PyTorch"), zip(*times, strict=True), strict=True):
        speed = ours.training.settings.batch_size / statistics.median(seconds)
        print(f"{name:<12} {speed:8.0f} images/s, {1e3 * statistics.median(seconds):.2f} ms a step")
    low, middle, high = np.percentile([theirs / own for own, theirs in times], [25, 50, 75])
    print(f"{middle:.2f} times as fast (quartiles {low:.2f} and {high:.2f}, {rounds} rounds)")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if "=" not in word]
    texts = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    are_numbers = all(text.isdecimal() and int(text) for text in texts.values())
    if len(words) > 1 or not set(words) <= set(DATA) or not set(texts) <= {"rounds", "threads"} or not are_numbers:
        sys.exit(__doc__)
    if importlib.util.find_spec("torch") is None:
        sys.exit("PyTorch is not installed: python -m pip install torch")
    main(*words, **{name: int(text) for name, text in texts.items()})

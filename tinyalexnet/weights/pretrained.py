"""Weights from a file, torchvision's or a checkpoint of this package, and the preparation of images for them."""

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..alexnet import VARIANTS, Variant, alexnet
from ..console import printable
from ..devices import device, to_host
from ..geometry import Pair
from ..images import read_image
from ..losses import softmax
from ..network import Sequential
from ..ops.checks import Shape
from ..training import augment, checkpoint
from ..training.contents import check_arrays, contents, misfits
from . import torch_file
from .kinds import kind

NAMES = {
    "torchvision": {
        "features.0": "conv1",
        "features.3": "conv2",
        "features.6": "conv3",
        "features.8": "conv4",
        "features.10": "conv5",
        "classifier.1": "fc6",
        "classifier.4": "fc7",
        "classifier.6": "fc8",
    }
}
"""For each variant that a state dict can hold: its layers there and here. Each has a ``.weight`` and a ``.bias``."""

WRAPPERS = ("module", "_orig_mod")
"""Parts of names that PyTorch's ``DataParallel`` and ``torch.compile`` insert."""

SHORTER = 256
"""Pixels of the shorter side before the crop. This, MEAN and STD are ``AlexNet_Weights.IMAGENET1K_V1.transforms()``."""

MEAN = 255 * np.array([0.485, 0.456, 0.406])
STD = 255 * np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of ``variant`` from a file, and how its images are prepared.

    Shapes
        ``params`` as ``net.params``, float32, read-only or not. An image is cropped to ``size`` (H, W); if ``shorter``
        is given, its shorter side is first scaled to as many pixels. Then ``mean``, (H, W, C) or (C,), is subtracted
        and the result multiplied by ``scale``. ``classes`` are the names of the classes, or None if the file has none.
    """

    variant: str
    params: dict[str, np.ndarray]
    num_classes: int
    size: Pair
    shorter: int | None
    mean: np.ndarray
    scale: np.ndarray | np.float32
    classes: tuple[str, ...] | None = None

    @property
    def channels(self) -> int:
        """3 for images in red, green and blue, 1 for grey ones."""
        return VARIANTS[self.variant].image_shape[2]

    def image(self, path: str | Path) -> np.ndarray:
        """The image, scaled and cropped for the network, (H, W, C), uint8; errors as ``images.read_image``."""
        return read_image(Path(path), self.size, self.shorter, self.channels)

    def network(self, backend: str = "cpu", algorithm: str = "auto") -> Sequential:
        """The network with these weights, without dropout; ``algorithm`` as in ``alexnet``."""
        net = _empty_network(VARIANTS[self.variant], self.num_classes, backend, algorithm)
        for name, value in net.params.items():
            device(backend).write(value, self.params[name])
        net.train = False
        return net

    def prepared(self, pixels: np.ndarray) -> np.ndarray:
        """The input of the network (N, H, W, C) for images of ``image`` (N, H, W, C) or (H, W, C): the centre crops."""
        height, width, _ = VARIANTS[self.variant].image_shape
        batch = pixels.reshape(-1, *pixels.shape[-3:])
        return augment.one_view(augment.standardised(batch, self.mean, self.scale), (height, width))[:, 0]

    def probabilities(self, net: Sequential, pixels: np.ndarray, backend: str = "cpu") -> np.ndarray:
        """The probability of each class, (N, K), for the centre crops of images (N, H, W, C) from ``image``."""
        return softmax(to_host(net.forward(device(backend).to_device(self.prepared(pixels)))))


def load(
    path: str | Path, variant: str | None = None, force: bool = False, say: Callable[[str], object] = lambda line: None
) -> Weights:
    """The weights in a file of PyTorch, in a safetensors file with the same names, or in a checkpoint of this package.

    If ``variant`` is None, it is read from the checkpoint or recognised by the tensor names. Weights of another variant
    may fit in shape but not in meaning, for instance if it normalises elsewhere, so they need ``force=True``. If the
    state dict is inside another dict, or its names have a prefix, as those of data-parallel or compiled modules have,
    ``say`` is told so in a line.

    Shapes
        The number of classes is that of the file. All other shapes must be the variant's, also with ``force``.
    Errors
        ImportError for a safetensors file without that package; OSError if the file cannot be read; ValueError, which
        names the file, if it is damaged or of another variant, or if a tensor is missing, superfluous, of another shape
        or not finite.
    Source
        ``torchvision.models.alexnet``; docs/pretrained.md derives the order of the first dense layer's inputs.
    """
    checkpoint.check_regular(path)
    if torch_file.is_torch_file(path):
        return _from_state_dict(path, torch_file.load(path, say), variant, force, say)
    if what := kind(path):
        raise ValueError(f"{path} is not a checkpoint that can be loaded: it is {what}")
    tensors, metadata = checkpoint.read(path)
    if "tinyalexnet" in metadata:
        return _from_checkpoint(path, tensors, checkpoint.verified(path, tensors, metadata), variant, force)
    return _from_state_dict(path, tensors, variant, force, say)


def from_channels_first(tensors: Mapping[str, np.ndarray], table: Variant, num_classes: int) -> dict[str, np.ndarray]:
    """Parameters for a network of ``table`` from those of the same network on images (C, H, W).

    Shapes
        ``tensors`` "conv1.w" (F, C, KH, KW), "fc6.w" (out, in) and "conv1.b", "fc6.b" -> the names and shapes of
        ``net.params``. The first dense layer after images is a copy, because the order of its inputs changes; all
        other arrays are views.
    Source
        docs/pretrained.md.
    """
    params: dict[str, np.ndarray] = {}
    image: Shape = ()
    x_shape: Shape = (1, *table.image_shape)
    for name, layer in _empty_network(table, num_classes):
        if layer.kind == "flatten":
            image = x_shape[1:]
        x_shape = layer.output_shape(x_shape)
        if not layer.params:
            continue
        w = tensors[f"{name}.w"]
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif image:
            height, width, channels = image
            w = w.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(math.prod(image), -1)
            image = ()
        else:
            w = w.T
        params |= {f"{name}.w": w, f"{name}.b": tensors[f"{name}.b"]}
    return params


def _from_state_dict(
    path: str | Path, tensors: dict[str, np.ndarray], variant: str | None, force: bool, say: Callable[[str], object]
) -> Weights:
    # NAMES has one variant so far. With a second, choose by the names in the file.
    ((own, names),) = NAMES.items()
    variant = _chosen(path, own, variant, force)
    table = VARIANTS[variant]
    files = {
        f"{layer}.{short}": f"{name}.{long}"
        for name, layer in names.items()
        for short, long in (("w", "weight"), ("b", "bias"))
    }
    tensors = _without_prefix(path, tensors, next(iter(files.values())), say)
    if not tensors.keys() & files.values():
        some = ", ".join(repr(name[:80]) for name in list(tensors)[:3]) or "nothing"
        raise ValueError(
            f"{path} does not fit {variant!r}: it is of another network, because it holds {some}, and nothing of such "
            f"names as {next(iter(files.values()))!r}"
        )
    last = files[f"{VARIANTS[own].layers[-1].name}.b"]
    num_classes = tensors[last].size if last in tensors else 0
    shapes = {name: _channels_first(shape) for name, shape in _shapes(table, num_classes).items()}
    if wrong := misfits(tensors, {files.get(name, name): shape for name, shape in shapes.items()}):
        raise ValueError(f"{path} does not fit {variant!r}: it {wrong}")
    params = from_channels_first({name: tensors[file] for name, file in files.items()}, table, num_classes)
    height, width, _ = table.image_shape
    return Weights(
        variant,
        _as_float32(path, params),
        num_classes,
        (height, width),
        SHORTER,
        MEAN.astype(np.float32),
        (1 / STD).astype(np.float32),
    )


def _without_prefix(
    path: str | Path, tensors: dict[str, np.ndarray], first: str, say: Callable[[str], object]
) -> dict[str, np.ndarray]:
    """The tensors by their names without WRAPPERS, and without what stands before the name ``first`` in one of them."""
    names = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in tensors}
    before = {name.removesuffix(first) for name in names.values() if name.endswith(f".{first}")}
    if len(before) == 1 and first not in names.values():
        names = {name: short.removeprefix(*before) for name, short in names.items()}
    changed = [name for name, short in names.items() if name != short]
    if not changed or len({*names.values()}) < len(names):
        return tensors
    example = f"{changed[0][:80]!r} is read as {names[changed[0]][:80]!r}"
    say(f"{printable(str(path))}: {example}, and likewise {len(changed) - 1} more names")
    return {names[name]: tensor for name, tensor in tensors.items()}


def _from_checkpoint(
    path: str | Path, arrays: dict[str, np.ndarray], meta: dict[str, Any], variant: str | None, force: bool
) -> Weights:
    found = contents(path, meta)
    own = found.settings["variant"]
    if own not in VARIANTS or VARIANTS[own].num_classes is None:
        raise ValueError(
            f"{path} has the variant {reprlib.repr(own)}, which this version does not know as one that classifies: "
            "use the version of tinyalexnet that wrote it"
        )
    variant = _chosen(path, own, variant, force)
    lacking = [name for name, has in (("mean", arrays), ("scale", meta), ("classes", meta)) if name not in has]
    if lacking:
        raise ValueError(
            f"{path} must have the images' mean, scale and classes, but lacks {', '.join(lacking)}: it is from before "
            "checkpoints had them, and its run must go on for another epoch with --resume"
        )
    table, classes, scale = VARIANTS[variant], found.classes or (), found.scale
    mean = arrays["mean"]
    height, width, channels = table.image_shape
    if mean.ndim != 3 or mean.shape[0] < height or mean.shape[1] < width or mean.shape[2] != channels:
        raise ValueError(
            f"{path} has a mean of shape {mean.shape}, but it must be at least as large as {table.image_shape}"
        )
    shapes = _shapes(table, len(classes))
    check_arrays(path, variant, arrays, shapes)
    params = {name: arrays[f"w:{name}"] for name in shapes}
    size = mean.shape[0], mean.shape[1]
    return Weights(variant, params, len(classes), size, None, mean, np.float32(scale), classes)


def _chosen(path: str | Path, own: str, variant: str | None, force: bool) -> str:
    """The variant asked for, if it is the file's ``own`` or forced."""
    if variant is None or variant == own:
        return own
    if variant not in VARIANTS or VARIANTS[variant].num_classes is None:
        allowed = ", ".join(repr(name) for name, table in VARIANTS.items() if table.num_classes is not None)
        raise ValueError(f"variant is {variant!r}, but must be one of {allowed}")
    if not force:
        raise ValueError(
            f"variant is {variant!r}, but must be {own!r} for the weights in {path}: in another network they mean "
            "something else even if the shapes are the same (force takes them nevertheless)"
        )
    return variant


def _empty_network(table: Variant, num_classes: int, backend: str = "reference", algorithm: str = "auto") -> Sequential:
    """The network with zeros for weights, which take no time to draw and no memory until they are read."""
    return alexnet(replace(table, weight_std=0.0), backend, algorithm=algorithm, num_classes=num_classes)


def _shapes(table: Variant, num_classes: int) -> dict[str, Shape]:
    """The shape of each parameter. The number of classes comes from a file, so no array of that size is made."""
    shapes = {name: value.shape for name, value in _empty_network(table, 1).params.items()}
    last, classes = table.layers[-1].name, num_classes or table.num_classes or 0
    return shapes | {f"{last}.w": (shapes[f"{last}.w"][0], classes), f"{last}.b": (classes,)}


def _channels_first(shape: Shape) -> Shape:
    return (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]


def _as_float32(path: str | Path, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, value in params.items():
        if value.dtype.kind != "f":
            raise ValueError(f"{path} has {name} of {value.dtype}, but must have a floating-point dtype")
    with np.errstate(over="ignore"):  # too large values become infinite, and are refused below
        converted = {name: value.astype(np.float32, copy=False) for name, value in params.items()}
    for name, value in converted.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{path} has elements of {name} that are not finite")
    return converted

"""The networks called AlexNet. ``variants`` has their tables of layers."""

import numpy as np

from ..geometry import as_integer
from ..layers import Layer
from ..network import Sequential
from ..ops.checks import Shape
from .variants import VARIANTS, Conv, Drop, Flat, Full, LayerOptions, Norm, Pool, Relu, Variant, check_variant

__all__ = ["VARIANTS", "Conv", "Drop", "Flat", "Full", "Norm", "Pool", "Relu", "Variant", "alexnet", "check_variant"]


def alexnet(
    variant: str | Variant = "tf2015",
    backend: str = "cpu",
    seed: int | None = 0,
    dtype: np.typing.DTypeLike = np.float32,
    algorithm: str = "auto",
    num_classes: int | None = None,
    precision: str = "float32",
) -> Sequential:
    """A new AlexNet with random weights and zero biases; all zeros if ``weight_std`` of its table is 0.

    Shapes
        images (N, 227, 227, 3) -> (N, 6, 6, 256) for "tf2015"; a variant with dense layers gives logits (N,
        ``num_classes``), by default as many as the original has. Layers are called conv1, pool1, relu1, ..., fc8.
        ``variant`` is one of ``VARIANTS``, or a table of your own. ``algorithm`` and ``precision`` as in ``Conv2d``.
    State
        The gradient of the images is not computed (``net["conv1"].needs_dx`` is False), and each ReLU works in place.
    Errors
        ValueError if the variant, the backend or the algorithm is unknown, the backend does not have the precision,
        seed is below 0, or num_classes is below 1 or given for a variant without dense layers; TypeError for another
        dtype than float32 and float64.
    Source
        The comment at each entry of ``VARIANTS``.
    """
    table = variant if isinstance(variant, Variant) else check_variant(variant)
    as_integer("seed", 0 if seed is None else seed, 0)
    classes = table.num_classes or 0
    if num_classes is not None:
        classes = as_integer("num_classes", num_classes, 1)
        if table.num_classes is None:
            raise ValueError(
                f"num_classes is {num_classes}, but must be left out for {variant!r}: it does not classify"
            )
    rng = np.random.default_rng(seed)
    options = LayerOptions(backend, dtype, algorithm, precision, rng, table.weight_std, classes)
    layers: list[tuple[str, Layer]] = []
    shape: Shape = (1, *table.image_shape)
    for row in table.layers:
        layers.append((row.name, row.layer(shape, options)))
        shape = layers[-1][1].output_shape(shape)
    layers[0][1].needs_dx = False
    return Sequential(layers, (1, *table.image_shape))

"""Which algorithm computes a convolution. This is decided here alone, by shapes, dtype, batch size and backend.

So one layer on one shape always gives the same bits, but an image may round differently in another batch size.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ....geometry import Pair, Window
from ...checks import ImagesShape, Shape
from .matrices import MOST_POINTS, Tile, cook_toom

ALGORITHMS = ("auto", "gemm", "winograd")

# The cost model counts in multiply-adds of Winograd's matrix products. Measured on two AVX-512 cores (Zen 4) with the
# layers of "tf2015" at batch 128, each stage of winograd/cpu by itself.
TRANSFORMED_ELEMENT = 40
"""Cost of one element of V, M or U: one stage writes it, the next reads it."""

MANY_FILTERS, CACHED_ELEMENT = 3 << 17, 13
"""On "cpu" U of so many elements of filters, 1.5 MB, is not written to memory in a small batch, and an element of it
costs so much. In a large batch U hardly counts."""

GEMM_MULTIPLY_ADD = 1.15
"""Cost of one multiply-add of im2col and matrix product, the copying included."""

FEW_WINDOWS, MANY_WEIGHTS = 800, 1 << 15
"""On "cpu", an im2col matrix of up to so many rows has a schedule of its own (``conv2d/cpu_few.py``), if there are so
many weights, 128 KB: fewer stay in the cache of a core anyway."""

FEW_MULTIPLY_ADD = {"out": 0.85, "dw": 0.9, "dx": 0.95}
"""Cost of one multiply-add then, by what is computed. Measured on two cores of a Xeon with AVX-512, on the layers of
"tf2015", "mnist" and "cifar" at batch 1 to 8: 0.65, 0.78 and 0.86 in loops of their own, but in a step only so much."""

LOOPS = 5_000_000
"""Cost of Winograd's loops beside their work, which counts there: each waits for all threads, 0.07 ms in all."""

FILTER_MULTIPLE = 64
"""Matrix products take filters in multiples of this many; the cost model counts the rest as computed too."""


class SmallTiles(NamedTuple):
    """Some of an image's tiles have an output and a point less, as in 13 = 5 + 4 + 4: from so many tiles in a batch on,
    and if that leaves at most this part of the points."""

    least: int
    worth: float


class Ability(NamedTuple):
    """Limits of a backend's Winograd, and the name of the algorithm that it uses otherwise.

    ``auto`` may take Winograd only if ``chooses``; a stride other than 1 needs ``strides``; without ``small_tiles`` all
    tiles are large. Up to ``few`` windows of an im2col matrix have a schedule of their own. An element of U costs
    ``of_many`` if there are MANY_FILTERS.
    """

    chooses: bool
    strides: bool
    small_tiles: SmallTiles | None
    otherwise: str
    few: int = 0
    of_many: int = TRANSFORMED_ELEMENT


ABILITIES = {
    "reference": Ability(chooses=False, strides=True, small_tiles=None, otherwise="direct"),
    "cpu": Ability(
        chooses=True,
        strides=True,
        small_tiles=SmallTiles(0, 1.0),
        otherwise="gemm",
        few=FEW_WINDOWS,
        of_many=CACHED_ELEMENT,
    ),
    # Measured on an H100: below this, more blocks and longer kernels cost more than the points that are saved.
    "cuda": Ability(chooses=True, strides=False, small_tiles=SmallTiles(512, 0.9), otherwise="gemm"),
}


def check_algorithm(algorithm: str) -> None:
    """ValueError if ``algorithm`` is not one of ALGORITHMS."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm is {algorithm!r}, but must be one of {', '.join(map(repr, ALGORITHMS))}")


@functools.lru_cache(maxsize=1024)
def choose_tile(
    algorithm: str,
    backend: str,
    x_shape: Shape,
    filters: int,
    window: Window,
    groups: int,
    dtype: np.dtype,
    precision: str = "float32",
    result: str = "out",
) -> Tile | None:
    """The Winograd tile that computes a convolution, or None for a convolution without Winograd.

    ``"auto"`` takes Winograd if the cost model says that it is faster, and only in float32: float64 is for checking,
    and gemm rounds less. Nor with precision "tf32": there Winograd's transforms make the error of 3e-4 to 5e-3, for
    F(5x5, 3x3) with 192 channels. Up to MOST_POINTS points the relative L2 error stays below 2e-5; no tile has more.

    Shapes
        x_shape (N, H, W, C), for filters (KH, KW, C / groups, ``filters``). ``result`` is "out", "dx" or "dw": what is
        computed.
    Errors
        ValueError if ``algorithm`` is not one of ALGORITHMS, or is "winograd" and the backend cannot use it here, the
        filter has more elements, counted in strides, than there are points, or the precision is not "float32".
    """
    check_algorithm(algorithm)
    ability = ABILITIES[backend]
    possible = ability.strides or window.stride == (1, 1)
    precise = precision == "float32"
    if algorithm == "auto" and not (ability.chooses and possible and precise and dtype == np.float32):
        return None
    if algorithm == "gemm":
        return None
    if not possible:
        raise ValueError(
            f"algorithm is 'winograd', but must be 'auto' or 'gemm' on backend {backend!r} for stride {window.stride}"
        )
    if not precise:
        raise ValueError(f"algorithm is 'winograd', but must be 'auto' or 'gemm' with precision {precision!r}")
    n, height, width, channels = x_shape
    many = math.prod(window.kernel) * channels // groups * filters >= MANY_FILTERS
    of_u = ability.of_many if many else TRANSFORMED_ELEMENT
    tile, cost = _best_tile((n, height, width, channels // groups), filters // groups, window, of_u)
    if algorithm == "winograd":
        if tile is None:
            raise ValueError(
                f"algorithm is 'winograd', but that allows a kernel_size of at most {MOST_POINTS} strides, and "
                f"{window.kernel} with stride {window.stride} is more"
            )
        return tile
    out_shape = n, *window.output_size((height, width)), filters // groups
    depth = math.prod(window.kernel) * (channels // groups)
    multiply_adds = math.prod(out_shape) * depth
    if has_few_windows(out_shape, depth, ability.few):
        # Of many filters all groups are in the same loops.
        loops = LOOPS // groups if many else LOOPS
        return tile if cost + loops < FEW_MULTIPLY_ADD[result] * multiply_adds else None
    return tile if cost < GEMM_MULTIPLY_ADD * multiply_adds else None


def has_few_windows(out_shape: Shape, depth: int, most: int = FEW_WINDOWS) -> bool:
    """If the im2col matrix of ``depth`` columns, for outputs (N, OH, OW, F), has at most so many rows, and there are
    many weights."""
    return math.prod(out_shape[:3]) <= most and depth * out_shape[3] >= MANY_WEIGHTS


def has_same_algorithms(
    x_shape: Shape,
    other: Shape,
    algorithm: str,
    backend: str,
    filters: int,
    window: Window,
    groups: int,
    dtype: np.dtype,
    precision: str,
) -> bool:
    """If the forward and the gradient of x are computed by the same algorithms for inputs of these two shapes."""

    def algorithms(shape: Shape) -> list[Any]:
        n, height, width, channels = shape
        inside, of_group, elements = channels // groups, filters // groups, math.prod(window.kernel)
        how = algorithm, backend, shape, filters, window, groups, dtype, precision
        return [
            *(choose_tile(*how, result) for result in ("out", "dx")),
            has_few_windows((n, *window.output_size((height, width)), of_group), elements * inside),
            has_few_windows((n, height, width, inside), elements * of_group),
        ]

    return algorithms(x_shape) == algorithms(other)


def has_small_tiles(tile: Tile, backend: str, n: int, out_size: Pair) -> bool:
    """If tiles of two sizes along an axis cover the outputs of ``n`` images. On a GPU that needs tensor cores too."""
    rule, count = ABILITIES[backend].small_tiles, math.prod(tile.counts(out_size))
    return rule is not None and n * count >= rule.least and tile.points_of(out_size) <= rule.worth * count * tile.points


def performed_multiply_adds(tile: Tile, backend: str, x_shape: Shape, filters: int, window: Window, groups: int) -> int:
    """The multiply-adds of Winograd's matrix products, over the batch and all groups; of a GPU with tensor cores."""
    n, height, width, channels = x_shape
    out_size = window.output_size((height, width))
    has_small = has_small_tiles(tile, backend, n, out_size)
    points = tile.points_of(out_size) if has_small else math.prod(tile.counts(out_size)) * tile.points
    return n * points * window.stride[0] * window.stride[1] * (channels // groups) * filters


@functools.lru_cache(maxsize=1024)
def kept_bytes(tile: Tile, x_shape: Shape, window: Window) -> int:
    """Bytes of the transformed images V in float32."""
    n, height, width, channels = x_shape
    return 4 * n * math.prod(tile.counts(window.output_size((height, width)))) * tile.points * channels


@functools.cache
def _best_tile(x_shape: ImagesShape, group_filters: int, window: Window, of_u: int) -> tuple[Tile | None, float]:
    """The cheapest tile for one group, and its cost, if an element of U costs ``of_u``."""
    n, height, width, channels = x_shape
    (stride_h, stride_w), (kernel_h, kernel_w) = window.stride, window.kernel
    r_h, r_w = -(-kernel_h // stride_h), -(-kernel_w // stride_w)
    depth = stride_h * stride_w * channels
    filters = -(-group_filters // FILTER_MULTIPLE) * FILTER_MULTIPLE
    size = window.output_size((height, width))
    best: tuple[Tile | None, float] = None, float("inf")
    for m_h in range(1, MOST_POINTS - r_h + 2):
        for m_w in range(1, MOST_POINTS - r_w + 2):
            tile = Tile(cook_toom(m_h, r_h), cook_toom(m_w, r_w))
            # A transform gains nothing from smaller tiles: each size has a loop of its own, and short loops are slow.
            tiles_h, tiles_w = tile.counts(size)
            images = TRANSFORMED_ELEMENT * n * tiles_h * tiles_w * (depth + filters)
            transformed = tile.points * (images + of_u * depth * filters)
            cost = n * tile.points_of(size) * depth * filters + transformed
            if cost < best[1]:
                best = tile, float(cost)
    return best

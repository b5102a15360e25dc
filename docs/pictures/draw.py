"""Draws the pictures of the pages into this folder: python docs/pictures/draw.py [NAME ...]

Each is an SVG file, made from arrays that the package computes. The same package gives the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import conv_backward
import conv_forward
import conv_matrix
import machines
import one_window
import pool_lrn
import schemes
import whole_network
import winograd_cpu
import winograd_tile

FOLDER = Path(__file__).parent

PICTURES: dict[str, Callable[[], str]] = {
    "scatter": conv_backward.scatter,
    "turned_kernel": conv_backward.turned_kernel,
    "zeros_at_stride_2": conv_backward.zeros_at_stride_2,
    "dw_at_stride_2": conv_backward.dw_at_stride_2,
    "padding_and_stride": conv_forward.padding_and_stride,
    "groups": conv_forward.groups,
    "im2col": conv_matrix.im2col,
    "pool_winners": pool_lrn.pool_winners,
    "lrn_two_ways": pool_lrn.lrn_two_ways,
    "chain_rule": whole_network.chain_rule,
    "network": whole_network.network,
    "one_window": one_window.one_window,
    "winograd_tile": winograd_tile.winograd_tile,
    "winograd_tasks": winograd_cpu.winograd_tasks,
    "cpu_tasks": machines.cpu_tasks,
    "gpu_tile": machines.gpu_tile,
    "schemes": schemes.schemes,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        print(f"{unknown[0]} is not a picture; there are {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name in names or PICTURES:
        (FOLDER / f"{name}.svg").write_text(PICTURES[name](), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

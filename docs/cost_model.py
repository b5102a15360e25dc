"""python docs/cost_model.py: what many nodes would gain, for docs/parallel.md. A model: nothing here is measured.

T = compute + bytes / W + messages α, for the network ``owt`` with 128 images a node: the bytes are those of
``tinyalexnet.parallel.cost``, which the log counts; W is the rate of a link and α its latency; nothing overlaps. The
efficiency is compute / T.
"""

from __future__ import annotations

from tinyalexnet.alexnet import alexnet
from tinyalexnet.parallel.cost import activation_bytes, column_gradient_bytes, gradient_bytes

IMAGES = 128
TEAM = 8
LINKS = (("1 Gbit/s", 0.119e9, 50e-6), ("10 Gbit/s", 1.19e9, 20e-6), ("100 Gbit/s", 11.9e9, 3e-6))
COMPUTE = (1.0, 0.1)
"""Seconds of a node for its images: roughly a processor with a few cores, and a small GPU."""


def main() -> None:
    params = alexnet("owt").params
    convolutions = sum(value.size for name, value in params.items() if name.startswith("conv"))
    everything = sum(value.size for value in params.values())
    dense = [value.shape for value in params.values() if value.ndim == 2]
    features = [dense[0][0], *(shape[1] for shape in dense)]
    print(f"by rows / by columns / by columns in teams of {TEAM}")
    print("nodes | MB a node sends in a step | efficiency")
    for nodes in (2, 8, 64, 512):
        rows = gradient_bytes(everything, nodes, nodes, 0)
        found = [rows, *(_by_columns(features, convolutions, nodes, groups) for groups in (1, max(1, nodes // TEAM)))]
        # Each exchange has a message for each other node: two for the gradients of a bucket, of which a network has at
        # most one a layer with parameters; and one for each gather and each sum of the dense layers.
        team = min(nodes, TEAM)
        messages = (
            2 * 8 * (nodes - 1),
            (2 * 5 + 7) * (nodes - 1),
            2 * 5 * (nodes - 1) + 7 * (team - 1) + 2 * (nodes // team - 1),
        )
        cells = [f"{nodes:5} | {' / '.join(f'{sent / 1e6:7.1f}' for sent in found)} "]
        for name, rate, latency in LINKS:
            for compute in COMPUTE:
                times = [compute + sent / rate + count * latency for sent, count in zip(found, messages, strict=True)]
                cells.append(f" {name}, {compute} s: {' / '.join(f'{compute / time:4.0%}' for time in times)} ")
        print("|".join(cells))


def _by_columns(features: list[int], convolutions: int, nodes: int, groups: int) -> int:
    """Bytes of a node, with a block of columns for each node of a team."""
    given = nodes, nodes // groups, nodes, 0, "a", groups
    sent = gradient_bytes(convolutions, nodes, nodes, 0) + column_gradient_bytes(features, *given)
    return sent + activation_bytes(features, IMAGES * nodes, *given)


if __name__ == "__main__":
    main()

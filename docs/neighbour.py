"""python docs/neighbour.py SHARE: a thread for each processor that copies memory for this share of its time.

Such as a program that someone else runs on the same machine: it takes the processors, their caches and the memory
from whatever is measured beside it, until Ctrl-C. SHARE is above 0 and at most 1. For the README's figures of a busy
machine.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from tinyalexnet.devices import machine

COPIED_BYTES = 1 << 25
"""More than the caches near a core hold, and as much as the one that cores share."""


def copy(share: float) -> None:
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.zeros_like(source)
    while True:
        begin = time.perf_counter()
        np.copyto(target, source)
        time.sleep((time.perf_counter() - begin) * (1 - share) / share)


def main(share: float) -> None:
    print(f"{machine.cores()} threads copy memory for {share:.0%} of their time, until Ctrl-C", file=sys.stderr)
    for _ in range(machine.cores()):
        threading.Thread(target=copy, args=(share,), daemon=True).start()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    try:
        share = float(*sys.argv[1:2])
    except (TypeError, ValueError):
        share = 0.0
    if len(sys.argv) != 2 or not 0 < share <= 1:
        sys.exit(__doc__)
    main(share)

"""mpiexec -n N python -m tests.parallel.some_steps BACKEND VARIANT SHARDS: some steps on one image a shard.

The images are random. BACKEND may be "emulated", which is "cuda" in the emulator. Process 0 prints as JSON the
processor of each process and its digest of the weights; and then the weights, if the variant is "digits".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tinyalexnet.alexnet import check_variant
from tinyalexnet.devices import device, to_host
from tinyalexnet.parallel import MPILink
from tinyalexnet.parallel.command import own_gpu
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.data import Dataset, Images

STEPS = 2


def dataset(variant: str, batch: int) -> Dataset:
    rng = np.random.default_rng(1)
    shape = STEPS * batch, *check_variant(variant).image_shape
    images = Images(rng.integers(0, 256, shape, dtype=np.uint8), rng.integers(0, 10, shape[0]), tuple("0123456789"))
    return Dataset("random", images, images)


def main(backend: str, variant: str, shards: str) -> None:
    if backend == "emulated":
        sys.path.append(str(Path(__file__).parents[1] / "gpu"))
        import emulator

        emulator.install()
        backend = "cuda"
    with MPILink() as link:
        own_gpu(link)
        settings = Settings(variant, batch_size=int(shards), shards=int(shards), backend=backend)
        training = Training(settings, dataset(variant, int(shards)), link)
        for _ in range(STEPS):
            training.advance()
        own = json.dumps([device(backend).processor(1), training.digest()])
        every = [json.loads(text) for text in link.now(lambda: link.texts(own))]
        weights = training.net.params.items() if variant == "digits" else ()
        if not link.rank:
            print(json.dumps([every, {name: np.ravel(to_host(value)).tolist() for name, value in weights}]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""mpiexec -n N python -m tests.parallel.on_gpus KIND: some steps on GPUs, real or emulated, or on "reference".

Process 0 prints as JSON the GPU and the digest of the weights of each process, and the weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tests.parallel.test_shards import dataset
from tinyalexnet.devices import device, to_host
from tinyalexnet.parallel import MPILink
from tinyalexnet.parallel.command import own_gpu
from tinyalexnet.training import Settings, Training

STEPS = 2


def main(kind: str) -> None:
    if kind == "emulated":
        sys.path.append(str(Path(__file__).parents[1] / "gpu"))
        import emulator

        emulator.install()
    backend = "reference" if kind == "reference" else "cuda"
    with MPILink() as link:
        own_gpu(link)
        training = Training(Settings("digits", batch_size=6, shards=2, backend=backend), dataset(), link)
        for _ in range(STEPS):
            training.advance()
        # Before its own steps have ended no process may leave.
        own = json.dumps([device(backend).processor(1), training.digest()])
        every = [json.loads(text) for text in link.now(lambda: link.texts(own))]
        if not link.rank:
            weights = {name: np.ravel(to_host(value)).tolist() for name, value in training.net.params.items()}
            print(json.dumps([every, weights]))


if __name__ == "__main__":
    main(sys.argv[1])

"""python -m tests.parallel.faulty FAULT STEP FLAG ...: ``train --parallel mpi`` with a fault in one process.

The fault happens in the last process, but for "full", before the step with that number.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

import tinyalexnet.parallel.mpi as mpi
from tinyalexnet.__main__ import main
from tinyalexnet.command import start
from tinyalexnet.training import checkpoint
from tinyalexnet.training import step as steps
from tinyalexnet.training.step import Training


def hang():
    time.sleep(1000)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    sys.exit(3)


def refuse():
    raise OSError(errno.EIO, os.strerror(errno.EIO), "7.jpg")


def stumble():
    return {}["generators"]


FAULTS = {function.__name__: function for function in (hang, kill, leave, refuse, stumble)}


def before(at, link, fault):
    """Lets it happen before that step."""
    advance = Training.advance

    def advanced(training, statistics=False):
        if training.progress.step == at and link.rank == link.size - 1:
            fault(training)
        return advance(training, statistics)

    Training.advance = advanced


def flip(training):
    training.net.params["conv1.w"].view("u4")[0, 0, 0, 0] ^= 1


def one_pixel(training_class, link, part):
    made = training_class.__init__

    def make(training, settings, dataset, link=None):
        if link.rank:
            getattr(dataset, part).pixels[7, 3, 3, 0] ^= 1
        made(training, settings, dataset, link)

    training_class.__init__ = make


def full(at):
    save = checkpoint.save

    def saved(path, arrays, meta):
        if meta["run"]["step"] == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        save(path, arrays, meta)

    checkpoint.save = saved


PIXELS = {"pixel": "train", "test pixel": "test"}
"""In which images one is wrong."""


class Faulty(mpi.MPILink):
    """Knows its number, and so what is to go wrong."""

    def __init__(self, patience=mpi.PATIENCE, comm=None):
        super().__init__(patience, comm)
        kind, at = FAULT
        if kind in FAULTS:
            before(at, self, lambda _: FAULTS[kind]())
        elif kind == "end":
            before(at, self, lambda _: self.end())
        elif kind == "flip":
            before(at, self, flip)
        elif kind in PIXELS:
            one_pixel(Training, self, PIXELS[kind])
        elif kind == "full":
            full(at)
        steps.COMPARE_EVERY = 4

    def end(self):
        """As if there were no more steps."""
        self.close()
        os._exit(0)


if __name__ == "__main__":
    FAULT = sys.argv[1], int(sys.argv[2])
    import tinyalexnet.parallel.command as together

    together.MPILink = Faulty
    if FAULT[0] == "start":  # of another process, which never comes
        mpi.STARTING = 0
    start(lambda: main(["train", "--parallel=mpi", *sys.argv[3:]]))

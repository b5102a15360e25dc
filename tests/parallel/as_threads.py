"""Processes as threads of this one: a communicator with the few calls of mpi4py that ``MPILink`` makes."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tinyalexnet.parallel import Alone, MPILink

SECONDS = 200
"""For which a collective waits until the others come too: on a busy machine one may draw a picture meanwhile."""


class World:
    """What the communicators of all ranks share."""

    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size)
        self.slots = [None] * size
        self.copies = {}
        self.halves = {}
        self.here = Counter()
        self.lock = threading.Lock()
        self.aborted = []


class Comm:
    """The communicator of one rank."""

    def __init__(self, world, rank):
        self.world, self.rank = world, rank
        self.number_of_copies = self.number_of_halves = self.number_of_barriers = 0

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.world.size

    def Dup(self):
        with self.world.lock:
            self.number_of_copies += 1
            world = self.world.copies.setdefault(self.number_of_copies, World(self.world.size))
        return Comm(world, self.rank)

    def Split(self, colour, key):
        assert key == self.rank
        colours = self.of_all(colour)
        with self.world.lock:
            self.number_of_halves += 1
            world = self.world.halves.setdefault((self.number_of_halves, colour), World(colours.count(colour)))
        return Comm(world, colours[: self.rank].count(colour))

    def Alltoallv(self, send, receive):
        pieces, (counts, starts) = send
        own = [pieces[at : at + n].copy() for at, n in zip(starts, counts, strict=True)]
        target, (lengths, places) = receive
        for theirs, at, n in zip(self.of_all(own), places, lengths, strict=True):
            target[at : at + n] = theirs[self.rank]

    def Allgatherv(self, mine, receive):
        target, (counts, starts) = receive
        for theirs, at, n in zip(self.of_all(mine.copy()), starts, counts, strict=True):
            assert len(theirs) == n  # one element would be repeated here, and MPI repeats none
            target[at : at + n] = theirs

    def Sendrecv(self, mine, to, recvbuf, source):
        sent, dest = self.of_all((mine.copy(), to))[source]
        assert dest == self.rank
        assert len(sent) == len(recvbuf)
        recvbuf[...] = sent

    def Bcast(self, array):
        array[...] = self.of_all(array.copy())[0]

    def Ibarrier(self):
        self.number_of_barriers += 1
        return Here(self.world, self.number_of_barriers)

    def Abort(self, code):
        self.world.aborted.append((self.rank, code))
        self.world.barrier.abort()

    def of_all(self, value):
        self.world.slots[self.rank] = value
        self.world.barrier.wait(SECONDS)
        values = list(self.world.slots)
        self.world.barrier.wait(SECONDS)
        return values


class Here:
    """The request of a barrier, which is at an end when all ranks have one of that number."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        with world.lock:
            world.here[number] += 1

    def Test(self):
        return self.world.here[self.number] == self.world.size


def on(size, function):
    """``function(link)`` on so many ranks at once; the values in their order."""
    if size == 1:
        return [function(Alone())]
    world = World(size)

    def run(rank):
        link = MPILink(SECONDS, Comm(world, rank))
        value = function(link)
        link.close()
        return value

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))
